"""How a long-running stage tells its caller where it is; the library itself never prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a stage; called often, so it must be quick and must not raise."""

    def __call__(self, stage: str, fraction: float | None, message: str) -> None:
        """Note a step.

        Args:
            stage: what is running, such as `prune_magnitude`; constant over one stage.
            fraction: how much of the stage is done, 0 to 1; None where that is not known.
            message: one short line for a reader, such as `epoch 2/6, sparsity 43.8 %`.
        """


def silent(stage: str, fraction: float | None, message: str) -> None:
    """A `Progress` that ignores everything."""
