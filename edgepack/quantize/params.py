"""Scales and zero points: real = scale * (stored - zero_point), as the TFLite quantization spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.types import Array, DType

_RANGES = {
    DType.INT4: (-8, 7),
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-32768, 32767),
    DType.INT32: (-(2**31), 2**31 - 1),
    DType.INT64: (-(2**63), 2**63 - 1),
}
_UNIT = np.float32(1.0)
_CLIP_STEPS, _LEAST_CLIP = 40, 0.2  # clips tried for few levels, down to this share of the largest
FAINT = 2.0**-16  # scale of a channel of zeros that has no 0, as a share of the others' largest


@dataclass(frozen=True)
class WeightGrid:
    """Which integers stand for weights; symmetric, the lowest of the type unused (TFLite
    quantization spec: restricted range).

    Attributes:
        dtype: that stores them in the file.
        largest: of them; the least is as far below 0.
        odd: only odd ones, which have no 0: then two bits tell -3, -1, 1 and 3 apart.
        book: how many vectors of weights a layer has (quantize/books.py); 0: any.
    """

    dtype: DType
    largest: int
    odd: bool = False
    book: int = 0

    @property
    def is_coarse(self) -> bool:
        """Whether so few levels that cutting off large weights makes the others' error less."""
        return self.largest <= INT4_WEIGHTS.largest

    def nearest(self, scaled: Array) -> Array:
        """Weights over their scale as integers (in the type of `scaled`)."""
        whole = 2.0 * np.floor(scaled / 2.0) + 1.0 if self.odd else np.rint(scaled)
        return np.asarray(np.clip(whole, -self.largest, self.largest), scaled.dtype)


# No kernel's type has 2 bits: a byte each in the file, which edgepack's C runtime stores as indices
# of 2 bits (ops/shared/coded_table.py).
INT2_WEIGHTS = WeightGrid(DType.INT8, 3, odd=True)
# Signs, and signs with 0: the C runtime stores a bit for each, or two (ops/shared/bits.py).
BINARY_WEIGHTS = WeightGrid(DType.INT8, 1, odd=True)
TERNARY_WEIGHTS = WeightGrid(DType.INT8, 1)
BOOK_WEIGHTS = WeightGrid(DType.INT8, 1, odd=True, book=32)
INT4_WEIGHTS = WeightGrid(DType.INT4, 7)
INT8_WEIGHTS = WeightGrid(DType.INT8, 127)


@dataclass(frozen=True)
class QParams:
    """How a tensor of activations is stored: one scale and zero point."""

    dtype: DType
    scale: float
    zero_point: int

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest real value that it can hold."""
        low, high = _RANGES[self.dtype]
        return (low - self.zero_point) * self.scale, (high - self.zero_point) * self.scale

    def store(self, values: Array) -> Array:
        """Real values as stored ones: nearest, halves away from zero, saturated."""
        low, high = _RANGES[self.dtype]
        scaled = values.astype(np.float64) / self.scale
        rounded = np.trunc(scaled + np.copysign(0.5, scaled)) + self.zero_point
        stored: Array = np.clip(rounded, low, high).astype(self.dtype.numpy)
        return stored

    def real(self, stored: Array) -> Array:
        """Stored values as real ones, float32."""
        difference = stored.astype(np.float64) - self.zero_point
        return np.asarray(difference * self.scale, np.float32)

    def as_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return {"dtype": self.dtype.value, "scale": self.scale, "zero_point": self.zero_point}


def activation_params(low: float, high: float, dtype: DType) -> QParams:
    """Scale and zero point for values between `low` and `high`; 0 becomes exactly storable.

    Args:
        low, high: the range, widened to hold 0.
        dtype: INT8 and UINT8 are asymmetric, INT16 is symmetric (TFLite quantization spec).
    """
    low, high = min(low, 0.0), max(high, 0.0)
    smallest, largest = _RANGES[dtype]
    if dtype is DType.INT16:
        scale = np.float32(max(-low, high) / largest)
        return QParams(dtype, float(scale if scale > 0 else _UNIT), 0)
    scale = np.float32((high - low) / (largest - smallest))
    if not scale > 0:
        return QParams(dtype, float(_UNIT), 0)
    zero_point = round(smallest - low / float(scale))
    return QParams(dtype, float(scale), int(np.clip(zero_point, smallest, largest)))


def weight_scales(
    weights: Array, grid: WeightGrid, axis: int | None, floor: Array | None = None
) -> Array:
    """Symmetric scales of weights, float32.

    Args:
        weights: real values.
        grid: of what they are stored as.
        axis: of the output channels, for a scale each; None for one scale.
        floor: a lower bound for each scale (what the bias needs to fit 32 bits), or None.

    Returns:
        [channels], or [1]. A channel of zeros gets the largest scale of the others, or 1; where the
        grid has no 0, one that makes it hardly anything.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    clip = best_clip(weights, grid, axis) if grid.is_coarse else np.abs(weights).max(axis=others)
    scales = (clip.reshape(-1) / grid.largest).astype(np.float32)
    usable = scales >= np.finfo(np.float32).tiny
    widest = scales[usable].max() if usable.any() else _UNIT
    scales[~usable] = widest * np.float32(FAINT) if grid.odd else widest
    least = np.zeros(1, np.float32) if floor is None else floor.astype(np.float32)
    return np.asarray(np.maximum(scales, least), np.float32)


def best_clip(weights: Array, grid: WeightGrid, axis: int | None) -> Array:
    """The largest magnitudes that leave least squared error, of those that were tried.

    Args:
        weights: real values.
        grid: of what they are stored as.
        axis: of the output channels, for a clip each; None for one.

    Returns:
        float32, of a shape that broadcasts over the weights.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True).astype(np.float32)
    found, best = largest, np.full(largest.shape, np.inf)
    for share in np.linspace(1.0, _LEAST_CLIP, _CLIP_STEPS, dtype=np.float32):
        clip = largest * share
        scale = np.maximum(clip / np.float32(grid.largest), np.finfo(np.float32).tiny)
        stored = grid.nearest(np.clip(weights, -clip, clip) / scale) * scale
        error = ((stored - weights) ** 2).sum(axis=others, keepdims=True)
        found = np.where(error < best, clip, found)
        best = np.minimum(error, best)
    return np.asarray(found, np.float32)


def along(scales: Array, ndim: int, axis: int | None) -> Array:
    """Scales in a shape that broadcasts over weights of `ndim` dimensions."""
    shape = [1] * ndim
    if axis is not None:
        shape[axis] = -1
    return scales.reshape(shape)


def store_weights(weights: Array, scales: Array, grid: WeightGrid, axis: int | None) -> Array:
    """Weights as stored, int8 elements, nearest, within the symmetric range."""
    scaled = weights.astype(np.float64) / along(scales, weights.ndim, axis).astype(np.float64)
    return np.asarray(grid.nearest(scaled), np.int8)
