"""What the lowerings for cores without DSP or vector extensions share (firmware/kernels/ep_mul.h).

A soc record lists `mul32` for such a core, and `mul64` as well if it has a 64-bit
multiply-accumulate (SMLAL of Armv7-M).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.filters import Filters
from edgepack.ops.shared.kernel import Isa
from edgepack.ops.shared.requant import ChannelMultipliers

PAIR_BITS = 23  # EP_PAIR_BITS: what the lower of two paired sums must fit
MUL32_ACC = (1 << 20) - 1  # largest accumulator of ep_scaled32
MUL32_SHIFT = 13  # its largest right shift
_HEAD_BITS = 26  # magnitude of a start value beside the 5 bits of its shift


def uses_mul(isa: Isa) -> bool:
    """Whether the target is a core that these kernels are for."""
    return isa.has("mul32") and not isa.has("dsp") and not isa.has("mve")


@dataclass(frozen=True)
class MulFilters:
    """Filters that the `mul` kernels can compute exactly.

    Args:
        weights: int8 [channels, inputs of one filter].
        start: int32 [channels], biases with the input's zero point folded in.
        multipliers: per channel.
        clamp: accumulators may leave what ep_scaled32 takes, but only where outputs are saturated.
    """

    weights: npt.NDArray[np.int8]
    start: npt.NDArray[np.int32]
    multipliers: ChannelMultipliers
    clamp: bool

    @property
    def heads(self) -> npt.NDArray[np.uint32]:
        """start << 5 | shift, one word per channel."""
        shifts = np.broadcast_to(-self.multipliers.shift.astype(np.int64), self.start.shape)
        return ((self.start.astype(np.int64) << 5 | shifts) & 0xFFFFFFFF).astype(np.uint32)

    @property
    def factors(self) -> npt.NDArray[np.uint32]:
        """The multipliers, one word per channel."""
        values = np.ascontiguousarray(np.broadcast_to(self.multipliers.value, self.start.shape))
        return values.astype(np.int32).view(np.uint32)


def mul_filters(given: Filters, *, mul64: bool) -> MulFilters | None:
    """The filters of a weighted node, or None where the kernels would not be exact.

    Args:
        mul64: for the kernels with pairs of sums.
    """
    if not given.fast:
        return None
    weights, multipliers, start = given.weights, given.multipliers, given.folded
    if (np.abs(start.astype(np.int64)) >> _HEAD_BITS).any():
        return None
    # every partial sum of raw inputs
    reach = np.abs(weights.astype(np.int64)).sum(axis=1) * 128 + np.abs(start.astype(np.int64))
    if mul64:
        fits = bool((reach < 1 << (PAIR_BITS - 1)).all())
        return MulFilters(weights, start, multipliers, clamp=False) if fits else None
    shift = -multipliers.shift.astype(np.int64)
    if shift.max() > MUL32_SHIFT:
        return None
    beyond = reach > MUL32_ACC
    saturated = MUL32_ACC * multipliers.value.astype(np.int64) >> 31 + shift > 256
    if (beyond & ~saturated).any():
        return None
    return MulFilters(weights, start, multipliers, clamp=bool(beyond.any()))
