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
# Of weights: symmetric, the lowest value unused (TFLite quantization spec: restricted range).
WEIGHT_LEVELS = {DType.INT4: 7, DType.INT8: 127, DType.INT16: 32767}
_UNIT = np.float32(1.0)


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
    weights: Array, dtype: DType, axis: int | None, floor: Array | None = None
) -> Array:
    """Symmetric scales of weights, float32.

    Args:
        weights: real values.
        dtype: INT4 or INT8.
        axis: of the output channels, for a scale each; None for one scale.
        floor: a lower bound for each scale (what the bias needs to fit 32 bits), or None.

    Returns:
        [channels], or [1]. A channel of zeros gets the largest scale of the others, or 1.
    """
    others = None if axis is None else tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others).reshape(-1)
    scales = (largest / WEIGHT_LEVELS[dtype]).astype(np.float32)
    usable = scales >= np.finfo(np.float32).tiny
    scales[~usable] = scales[usable].max() if usable.any() else _UNIT
    least = np.zeros(1, np.float32) if floor is None else floor.astype(np.float32)
    return np.asarray(np.maximum(scales, least), np.float32)


def along(scales: Array, ndim: int, axis: int | None) -> Array:
    """Scales in a shape that broadcasts over weights of `ndim` dimensions."""
    shape = [1] * ndim
    if axis is not None:
        shape[axis] = -1
    return scales.reshape(shape)


def store_weights(weights: Array, scales: Array, dtype: DType, axis: int | None) -> Array:
    """Weights as stored, int8 elements, nearest, within the symmetric range."""
    levels = WEIGHT_LEVELS[dtype]
    scaled = weights.astype(np.float64) / along(scales, weights.ndim, axis).astype(np.float64)
    element = np.int16 if dtype is DType.INT16 else np.int8
    return np.asarray(np.rint(scaled).clip(-levels, levels), element)
