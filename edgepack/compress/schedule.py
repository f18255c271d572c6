"""How the sparsity of a pruning run grows over its training steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScheduleKind = Literal["constant", "polynomial"]


@dataclass(frozen=True)
class Schedule:
    """Sparsity as a function of the training step.

    `constant` demands `final` from step `begin` on. `polynomial` rises from `initial` at `begin` to
    `final` at `end`, fast at first and slowly at last (Zhu and Gupta 2017, "To prune, or not to
    prune", equation 1, where the power is 3). Before `begin` nothing is pruned. The masks are
    recomputed every `every` steps from `begin` on, and at `end`. Sparsities are fractions of the
    weights, 0 to 1.
    """

    kind: ScheduleKind
    initial: float
    final: float
    begin: int
    end: int
    every: int
    power: float = 3.0

    def sparsity(self, step: int) -> float:
        """The fraction of weights to be zero at a step; 0 before `begin`."""
        if step < self.begin:
            return 0.0
        if self.kind == "constant" or step >= self.end:
            return self.final
        done = (step - self.begin) / (self.end - self.begin)
        remaining: float = (1.0 - done) ** self.power
        return self.final + (self.initial - self.final) * remaining

    def is_due(self, step: int) -> bool:
        """Whether the masks are recomputed at a step."""
        if step < self.begin or step > self.end:
            return False
        if self.kind == "constant":
            return step == self.begin
        return (step - self.begin) % self.every == 0 or step == self.end
