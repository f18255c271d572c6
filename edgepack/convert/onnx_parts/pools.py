"""Pools with holes, and with windows that begin in the padding, as maxima and sums of slices."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from edgepack.convert.onnx_parts import moves
from edgepack.convert.onnx_parts.parts import Parts
from edgepack.types import Array

_MAX_WINDOW = 64  # slices, one per element of the window


@dataclass(frozen=True)
class _Axis:
    """One axis of a pool."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    before: int
    behind: int

    @property
    def past(self) -> int:
        """Elements behind the input that the last window reads."""
        last = (self.out - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        return max(last - self.size - self.before, 0)

    @property
    def plain(self) -> bool:
        """Whether every window begins and ends in the input and its padding."""
        return self.dilation == 1 and self.past <= self.behind

    def counts(self, with_padding: bool) -> Array:
        """How many elements each window holds, with the padding or without."""
        first = np.arange(self.out)[:, None] * self.stride - self.before
        places = first + np.arange(self.kernel) * self.dilation
        low, high = (-self.before, self.size + self.behind) if with_padding else (0, self.size)
        held: Array = ((places >= low) & (places < high)).sum(axis=1)
        return held


def _axes(p: Parts) -> list[_Axis] | None:
    sizes, out = p.shape()[2:], p.output_shape()[2:]
    rank = len(sizes)
    get = p.attributes.get
    pads = list(get("pads", [0] * 2 * rank))
    fits = p.opset >= moves.PAD_INPUTS and len(p.outputs) == 1 and rank in (1, 2)
    kernel = list(p.attributes["kernel_shape"])
    if not fits or p.text("auto_pad", "NOTSET") != "NOTSET" or np.prod(kernel) > _MAX_WINDOW:
        return None
    rows = zip(
        sizes,
        out,
        kernel,
        get("strides", [1] * rank),
        get("dilations", [1] * rank),
        pads[:rank],
        pads[rank:],
        strict=True,
    )
    axes = [_Axis(*(int(v) for v in row)) for row in rows]
    return None if all(axis.plain for axis in axes) else axes


def _slices(p: Parts, axes: list[_Axis], fill: float) -> list[str]:
    """For each element of the window what it meets, in the shape of the output."""
    amounts = [0, 0, *(a.before for a in axes), 0, 0, *(a.past for a in axes)]
    x = p.inputs[0]
    if any(amounts):
        x = p.node("Pad", x, p.integers(amounts), p.number(fill))
    found, places = [], list(range(2, 2 + len(axes)))
    for window in itertools.product(*(range(a.kernel) for a in axes)):
        starts = [i * a.dilation for i, a in zip(window, axes, strict=True)]
        ends = [s + (a.out - 1) * a.stride + 1 for s, a in zip(starts, axes, strict=True)]
        found.append(moves.cut(p, x, places, starts, ends, [a.stride for a in axes]))
    return found


def _together(p: Parts, kind: str, values: list[str], output: str) -> str:
    """Pairwise, as TFLite's operators take two."""
    while len(values) > 1:
        last = len(values) == 2
        values = [p.node(kind, *values[:2], output=output if last else ""), *values[2:]]
    return values[0]


def maximum(p: Parts) -> bool:
    """MaxPool."""
    axes = _axes(p)
    if axes is None:
        return False
    lowest = float(np.finfo(np.float32).min)
    _together(p, "Max", _slices(p, axes, lowest), p.outputs[0])
    return True


def average(p: Parts) -> bool:
    """AveragePool: the sum times one factor per place."""
    axes = _axes(p)
    if axes is None:
        return False
    with_padding = bool(p.attributes.get("count_include_pad", 0))
    counts = np.ones((), np.float64)
    for axis in axes:
        counts = np.multiply.outer(counts, axis.counts(with_padding))
    factors = (1 / counts).astype(np.float32)[None, None]
    total = _together(p, "Add", _slices(p, axes, 0.0), "")
    p.node("Mul", total, p.constant(factors), output=p.outputs[0])
    return True
