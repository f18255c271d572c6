"""A float model with what was measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.quantize.observe import Key
from edgepack.quantize.plan import Range
from edgepack.quantize.ranges import Stats
from edgepack.types import Array


@dataclass(frozen=True)
class Calibrated:
    """A float model, prepared, with what was seen in it; several plans can be made from it.

    Attributes:
        data: the float model, rewritten and, if wanted, equalized.
        samples: the calibration samples.
        stats: what was seen.
        ranges: of the activations.
    """

    data: bytes
    samples: Sequence[tuple[Array, ...]]
    stats: Stats
    ranges: dict[Key, Range]
