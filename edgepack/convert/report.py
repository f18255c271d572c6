"""What a conversion did: nodes, time, warnings, and how close the result is to its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.models.handle import ModelHandle

REPORT_FORMAT = 2


@dataclass(frozen=True)
class Parity:
    """How far a result is from its source on some samples.

    Attributes:
        inputs: `random` or `real`.
        samples: how many were run through both.
        max_abs: the largest difference of any output value, in the output's unit.
        max_relative: the same over the range of the source's values of that output.
        unequal: how many output values differ at all.
        values: how many output values there are.
    """

    inputs: str
    samples: int
    max_abs: float
    max_relative: float
    unequal: int
    values: int

    def __str__(self) -> str:
        if self.unequal == 0:
            return f"equal on {self.samples} {self.inputs} samples ({self.values:,} values)"
        return (
            f"largest difference {self.max_abs:.3g} on {self.samples} {self.inputs} samples, "
            f"{self.max_relative:.2g} of the outputs' range"
        )


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        source: what was converted.
        path: the file that was written.
        to: what it is (`outputs.OUTPUTS`).
        result: the written `.tflite` read again; None for another kind of file.
        report: the whole record, as JSON (docs/convert.md describes it).
        reused: whether it comes from the cache, so that nothing was converted now.
        seconds: wall time of this call.
    """

    source: ModelHandle
    path: Path
    to: str
    result: ModelHandle | None
    report: dict[str, Any]
    reused: bool
    seconds: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know."""
        return tuple(self.report["warnings"])

    @property
    def parity(self) -> tuple[Parity, ...]:
        """How close the result is to its source."""
        return tuple(Parity(**entry) for entry in self.report["parity"])
