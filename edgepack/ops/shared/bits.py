"""Layers with weights of one bit: what makes one, and how its weights and thresholds are stored.

Nothing here is a format of its own: such a layer is an int8 CONV_2D or FULLY_CONNECTED of the
.tflite file whose weights take two values (or three, one of them 0). What is stored instead of a
byte for each weight computes the same outputs (firmware/kernels/ep_bits.h).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.conv_2d import Conv2DAttributes
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.requant import (
    ChannelMultipliers,
    channel_multipliers,
    one_multiplier,
    tensor_multiplier,
)
from edgepack.ops.shared.weighted import requantize_output
from edgepack.ops.shared.window import window
from edgepack.types import Array, DType

BOOK = 32  # EP_BITS_BOOK: vectors of a layer's book
VECTOR = 8  # weights of a vector
LEAST_INPUTS = 8  # of a filter: below, a byte for each weight is as small
_MOST_INPUTS = (1 << 15) - 2  # of a filter with bits as inputs: thresholds are int16
_WORD = 32

I64 = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SignWeights:
    """Weights that are `unit` times +1, -1 or 0.

    Args:
        positive: bool [filters, taps, channels].
        nonzero: the same shape, or None where no weight is 0.
        unit: their magnitude as stored.
    """

    positive: Bits
    nonzero: Bits | None
    unit: int

    @property
    def filters(self) -> int:
        return len(self.positive)

    @property
    def inputs(self) -> int:
        """Weights of a filter."""
        return math.prod(self.positive.shape[1:])

    def counts(self) -> I64:
        """Weights of each filter that are not 0."""
        if self.nonzero is None:
            return np.full(self.filters, self.inputs, np.int64)
        return np.asarray(self.nonzero.sum(axis=(1, 2)), np.int64)


def sign_weights(view: NodeView) -> SignWeights | None:
    """The weights of a layer that has but two or three values; None for any other node."""
    if view.node.op not in ("CONV_2D", "FULLY_CONNECTED"):
        return None
    x, w, bias = view.input(0), view.input(1), view.optional(2)
    if w.data is None or (bias is not None and bias.data is None):
        return None
    if {x.dtype, w.dtype, view.output().dtype} != {DType.INT8}:
        return None
    if w.quant is None or any(w.quant.zero_point) or x.quant is None or view.output().quant is None:
        return None
    shape = (len(w.data), 1, -1) if w.data.ndim == 2 else (len(w.data), -1, w.shape[-1])
    if w.data.ndim == 4 and w.shape[3] != x.shape[3]:
        return None  # groups
    values = w.data.reshape(shape)
    unit = int(np.abs(values.astype(np.int64)).max(initial=0))
    if unit == 0 or values[0].size < LEAST_INPUTS:
        return None
    zero = values == 0
    if not (zero | (np.abs(values.astype(np.int64)) == unit)).all():
        return None
    return SignWeights(values > 0, ~zero if zero.any() else None, unit)


def multipliers_of(view: NodeView) -> ChannelMultipliers:
    """The requantization of a CONV_2D or FULLY_CONNECTED, as their files have it."""
    x, w, out = view.input(0), view.input(1), view.output()
    assert w.quant is not None
    if view.node.op == "FULLY_CONNECTED" and not w.quant.per_channel:
        return one_multiplier(tensor_multiplier(x, w, out))
    return channel_multipliers(x, w, out, w.shape[0])


@dataclass(frozen=True, eq=False)
class Sums:
    """What a layer makes of its sums of +-x (x: +-1 of bits, int8 minus zero point otherwise).

    Args:
        gain: of the accumulator for each unit of the sum.
        low, high: int64 [filters], between which every sum lies.
    """

    gain: int
    low: I64
    high: I64


def sums_of(view: NodeView, weights: SignWeights, magnitude: int | None) -> Sums | None:
    """The sums of a layer, or None where its accumulator could overflow.

    Args:
        magnitude: of inputs that are bits: stored value minus zero point; None for int8.
    """
    if magnitude is None:
        zero = view.input(0).zero_point
        low, high = -128 - zero, 127 - zero  # 0, as padding has it, lies between
        plus = weights.positive if weights.nonzero is None else weights.positive & weights.nonzero
        count = weights.counts()
        positive = plus.sum(axis=(1, 2)).astype(np.int64)
        least = positive * low - (count - positive) * high
        most = positive * high - (count - positive) * low
        found = Sums(weights.unit, least, most)
    else:
        if weights.inputs > _MOST_INPUTS:
            return None
        count = weights.counts()
        found = Sums(weights.unit * magnitude, -count, count)
    left = 1 << max(int(multipliers_of(view).shift.max(initial=0)), 0)
    ends = [
        np.abs(accumulators(view, found, end)).max(initial=0) for end in (found.low, found.high)
    ]
    return found if int(max(ends)) * left < 1 << 31 else None


def accumulators(view: NodeView, sums: Sums, values: I64) -> I64:
    """Sums [filters] as accumulators, the bias included."""
    bias = view.optional(2)
    base = 0 if bias is None or bias.data is None else bias.data.reshape(-1).astype(np.int64)
    return np.asarray(sums.gain * values + base, np.int64)


@dataclass(frozen=True, eq=False)
class Levels:
    """Outputs of two values, or three: `magnitude` above the zero point, as much below, and it.

    Args:
        thresholds: int64 [planes, filters]; the value rises where a sum reaches them, from the
            highest step to the lowest.
    """

    magnitude: int
    thresholds: I64

    @property
    def planes(self) -> int:
        return len(self.thresholds)


def levels_of(view: NodeView, sums: Sums) -> Levels | None:
    """The steps of a layer's outputs; None where some sum gives another value.

    Outputs never fall when the sum rises: requantization is monotone, and `sums_of` saw to it that
    nothing wraps.
    """
    out, activation = view.output(), getattr(view.node.attrs, "activation", "NONE")
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    if low - out.zero_point != out.zero_point - high or low == high:
        return None
    factors = multipliers_of(view)

    def output(values: I64) -> I64:
        acc = accumulators(view, sums, values)
        return requantize_output(view, acc, activation, factors).astype(np.int64)

    def reaching(value: int) -> I64:
        """The least sums whose output is at least `value`, or one more than the highest sums."""
        first, last = sums.low.copy(), sums.high + 1
        while (first < last).any():
            middle = (first + last) >> 1
            reached = output(np.minimum(middle, sums.high)) >= value
            last = np.where((first < last) & reached, middle, last)
            first = np.where((first < last) & ~reached, middle + 1, first)
        return first

    top, above = reaching(high), reaching(low + 1)
    steps = top[None] if np.array_equal(top, above) else np.stack([top, above])
    between = above < top  # whose outputs there must all be the zero point
    for edge in (above, top - 1):
        inside = np.clip(edge, sums.low, sums.high)
        if (between & (output(inside) != out.zero_point)).any():
            return None
    return Levels(high - out.zero_point, steps)


# -- storing ------------------------------------------------------------------------------------


def packed(bits: Bits) -> npt.NDArray[np.uint8]:
    """Bits [filters, taps, channels] as bytes [filters, bytes]: each tap begins a byte."""
    taken = np.packbits(bits, axis=2, bitorder="little")
    return taken.reshape(len(bits), -1)


def _as_words(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Rows of bytes as words, the last one filled up with zeros."""
    filled = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    return np.ascontiguousarray(filled).view("<u4").astype(np.uint32)


def xnor_words(weights: SignWeights) -> tuple[Array, Array | None]:
    """Weights for inputs that are bits [filters, planes, words], and non-zeros [filters]."""
    signs = _as_words(packed(weights.positive))
    if weights.nonzero is None:
        return signs.reshape(-1), None
    planes = np.stack([signs, _as_words(packed(weights.nonzero))], axis=1)
    return planes.reshape(-1), weights.counts().astype(np.uint16)


def sum_words(weights: SignWeights) -> Array:
    """Weights for int8 inputs [chunks, filters, planes]."""
    planes = [weights.positive]
    if weights.nonzero is not None:
        planes = [weights.positive & weights.nonzero, ~weights.positive & weights.nonzero]
    rows = [_as_words(packed(p.reshape(weights.filters, 1, -1))) for p in planes]
    return np.stack(rows, axis=-1).transpose(1, 0, 2).reshape(-1)


@dataclass(frozen=True, eq=False)
class Codes:
    """Weights as indices: book uint32 [BOOK / 4], codes uint16 [units, filters]."""

    book: Array
    codes: Array


def codes_of(weights: SignWeights, *, bits: bool) -> Codes | None:
    """Weights as indices into a book of vectors of eight; None where they have too many vectors.

    Args:
        bits: for inputs that are bits, each of whose taps begins a byte.
    """
    if weights.nonzero is not None:
        return None
    rows = weights.positive if bits else weights.positive.reshape(weights.filters, 1, -1)
    vectors = packed(rows)
    found, index = np.unique(vectors, return_inverse=True)
    if len(found) > BOOK:
        return None
    rest = -vectors.shape[1] % 3
    filled = np.pad(index.reshape(vectors.shape), ((0, 0), (0, rest)))
    filled = filled.reshape(weights.filters, -1, 3)
    units = (filled << np.array([0, 5, 10])).sum(axis=2).astype(np.uint16)
    book = np.zeros(BOOK, np.uint8)
    book[: len(found)] = found
    return Codes(book.view("<u4").astype(np.uint32), np.ascontiguousarray(units.T).reshape(-1))


# -- geometry -----------------------------------------------------------------------------------


def geometry(view: NodeView) -> tuple[tuple[str, int], ...]:
    """The first members of ep_bits_params; a dense layer is a 1x1 convolution of one position."""
    x, w, attrs = view.input(0), view.input(1), view.node.attrs
    if not isinstance(attrs, Conv2DAttributes):
        rows = x.elements // w.shape[1]
        sides = {"batches": rows, "in_h": 1, "in_w": 1, "in_c": w.shape[1], "out_h": 1, "out_w": 1}
        rest = ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
        sides |= {"out_c": w.shape[0], **dict.fromkeys(rest, 1), "pad_top": 0, "pad_left": 0}
        return tuple(sides.items())
    vertical = window(x.shape[1], w.shape[1], attrs.stride_h, attrs.dilation_h, attrs.padding)
    horizontal = window(x.shape[2], w.shape[2], attrs.stride_w, attrs.dilation_w, attrs.padding)
    return (
        ("batches", x.shape[0]),
        ("in_h", x.shape[1]),
        ("in_w", x.shape[2]),
        ("in_c", x.shape[3]),
        ("out_h", vertical.out),
        ("out_w", horizontal.out),
        ("out_c", w.shape[0]),
        ("kernel_h", w.shape[1]),
        ("kernel_w", w.shape[2]),
        ("stride_h", attrs.stride_h),
        ("stride_w", attrs.stride_w),
        ("dilation_h", attrs.dilation_h),
        ("dilation_w", attrs.dilation_w),
        ("pad_top", vertical.pad),
        ("pad_left", horizontal.pad),
    )
