"""What the op files share: the Op contract, lowered calls, fixed point, windows, broadcasting."""
