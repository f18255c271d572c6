"""Phones: what they are, in which state they measure, and the two programs that measure on them."""
