"""Comparison of a device's output bytes with the oracle's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.types import Array

# Float kernels of different libraries add in different orders and use different exp and tanh:
# outputs of a small network then differ by a few units in the last place of float32 (1.2e-7
# relative), which tens of layers multiply. A wrong kernel is off by far more than this. Absolute
# plus relative.
FLOAT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Mismatch:
    """An output element that differs: sample, output, flat index in the output, both values."""

    sample: int
    output: int
    index: int
    actual: float | int
    expected: float | int


@dataclass(frozen=True)
class Parity:
    """Bytes of all outputs of `samples` samples.

    mismatched_bytes: bytes that differ. max_abs_diff: largest difference of an element, as the
    tensor holds it (not dequantized); infinite where one of two floats is NaN or infinite.
    first_mismatch: the first element outside of what is allowed, None when all are inside.
    Integers must be equal; floats may differ by FLOAT_TOLERANCE * (1 + |expected|).
    """

    samples: int
    bytes: int
    mismatched_bytes: int
    max_abs_diff: float
    first_mismatch: Mismatch | None

    @property
    def passed(self) -> bool:
        return self.first_mismatch is None


def compare_outputs(
    actual: Sequence[Array], expected: Sequence[Array], numbers: Sequence[int] | None = None
) -> Parity:
    """Compare outputs of the same samples.

    Args:
        actual: per output an array [samples, *shape] from the device.
        expected: the same from the oracle; dtypes and shapes are equal.
        numbers: the number of each sample, for first_mismatch; 0, 1, ... when left out.

    Raises:
        ValueError: shapes or dtypes differ, which the caller has to prevent.
    """
    samples = len(expected[0]) if expected else 0
    total = wrong = 0
    largest = 0.0
    first: Mismatch | None = None
    for output, (got, want) in enumerate(zip(actual, expected, strict=True)):
        if got.shape != want.shape or got.dtype != want.dtype:
            raise ValueError(
                f"output {output}: {got.dtype}{got.shape} compared with {want.dtype}{want.shape}"
            )
        flat_got, flat_want = got.reshape(samples, -1), want.reshape(samples, -1)
        total += want.nbytes
        wrong += int(np.count_nonzero(_bytes(flat_got) != _bytes(flat_want)))
        difference = _difference(flat_got, flat_want)
        if difference.size:
            largest = max(largest, float(difference.max()))
        outside = np.argwhere(difference > _allowed(flat_want))
        if len(outside) and (first is None or outside[0][0] < first.sample):
            row, column = (int(i) for i in outside[0])
            first = Mismatch(
                row, output, column, flat_got[row, column].item(), flat_want[row, column].item()
            )
    if first is not None and numbers is not None:
        first = Mismatch(
            numbers[first.sample], first.output, first.index, first.actual, first.expected
        )
    return Parity(samples, total, wrong, largest, first)


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).view(np.uint8)


def _difference(got: Array, want: Array) -> Array:
    """Absolute differences as float64; exact for integers up to 32 bits."""
    if want.dtype.kind == "f":
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        with np.errstate(invalid="ignore"):
            distance = np.abs(got.astype(np.float64) - want.astype(np.float64))
        distance = np.where(np.isnan(distance), np.inf, distance)
        return np.asarray(np.where(same, 0.0, distance))
    if want.dtype.itemsize == 8:
        # int64 differences can overflow int64 and lose bits in float64: never let them become 0
        distance = np.abs(got.astype(np.float64) - want.astype(np.float64))
        return np.asarray(np.where(got == want, 0.0, np.maximum(distance, 1.0)))
    return np.abs(got.astype(np.int64) - want.astype(np.int64)).astype(np.float64)


def _allowed(want: Array) -> Array:
    if want.dtype.kind != "f":
        return np.zeros(want.shape)
    size = np.nan_to_num(np.abs(want.astype(np.float64)), nan=0.0, posinf=0.0)
    return np.asarray(FLOAT_TOLERANCE * (1.0 + size))
