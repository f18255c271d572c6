"""ONNX's explicit padding -> TFLite's SAME or VALID, with a PAD in front where neither fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.convert.qdq.graph import Op
from edgepack.convert.qdq.writer import TO_LAST, Writer
from edgepack.errors import UnsupportedError

SAME, VALID = 0, 1  # schema.fbs, Padding


@dataclass(frozen=True)
class Window:
    """How an operator slides over an image; (rows, columns) each."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]
    behind: tuple[int, int]


def window_of(w: Writer, op: Op, kernel: Sequence[int]) -> Window:
    """The window of a convolution or pooling.

    Raises:
        UnsupportedError: it is not over two dimensions.
    """
    if len(w.shape(op.inputs[0])) != 4 or len(kernel) != 2:
        raise UnsupportedError(
            f"{op} works on {len(w.shape(op.inputs[0]))} dimensions",
            allowed="images of four: N, C, H, W",
        )
    strides = _pair(op, "strides")
    dilations = _pair(op, "dilations")
    auto = bytes(op.attributes.get("auto_pad", b"NOTSET")).decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = _total(w, op, kernel, strides, dilations)
        small = tuple(t // 2 for t in total)
        large = tuple(t - t // 2 for t in total)
        before, behind = (small, large) if auto == "SAME_UPPER" else (large, small)
    else:
        pads = [int(p) for p in op.attributes.get("pads", (0, 0, 0, 0))]
        before, behind = (pads[0], pads[1]), (pads[2], pads[3])
    return Window(
        (int(kernel[0]), int(kernel[1])),
        strides,
        dilations,
        (before[0], before[1]),
        (behind[0], behind[1]),
    )


def _pair(op: Op, key: str) -> tuple[int, int]:
    values = op.attributes.get(key, (1, 1))
    return int(values[0]), int(values[1])


def _total(
    w: Writer, op: Op, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """How many rows and columns SAME adds (TensorFlow's documentation of tf.nn.convolution)."""
    sizes = w.shape(op.inputs[0])[2:]
    return [
        max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]


def padded(w: Writer, op: Op, window: Window, fill: float | None) -> tuple[int, int]:
    """The tensor to slide over (channels last) and TFLite's padding.

    Args:
        w: the writer.
        op: the operator; its first input is the image.
        window: its window.
        fill: the real number to put around the image where SAME does not fit; None where nothing
            stands for it.

    Raises:
        UnsupportedError: what it adds has no form in TFLite, or it rounds its size up.
    """
    source = w.get(op.inputs[0], last=True)
    total = _total(w, op, window.kernel, window.strides, window.dilations)
    sizes, outs = w.shape(op.inputs[0])[2:], w.shape(op.output)[2:]
    same = tuple(-(-n // s) for n, s in zip(sizes, window.strides, strict=True))
    centred = (tuple(t // 2 for t in total), tuple(t - t // 2 for t in total))
    if (window.before, window.behind) == centred and tuple(outs) == same and any(total):
        return source, SAME
    grown = [n + a + b for n, a, b in zip(sizes, window.before, window.behind, strict=True)]
    fits = tuple(
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(grown, window.kernel, window.dilations, window.strides, strict=True)
    )
    if fits != tuple(outs):
        raise UnsupportedError(f"{op} rounds its size up (ceil_mode)", allowed="ceil_mode=0")
    if not any(window.before) and not any(window.behind):
        return source, VALID
    if fill is None:
        raise UnsupportedError(
            f"{op} has padding {window.before} before and {window.behind} behind that it leaves "
            "out of its averages",
            allowed="the padding of SAME_UPPER, none, or count_include_pad=1",
        )
    pairs = [(0, 0), (0, 0), *zip(window.before, window.behind, strict=True)]
    return pad(w, op, source, pairs, fill), VALID


def pad(
    w: Writer,
    op: Op,
    source: int,
    pairs: Sequence[tuple[int, int]],
    fill: float,
    *,
    last: bool = True,
) -> int:
    """A tensor with rows of a number around it; `pairs` are in ONNX's order of axes."""
    ordered = [pairs[axis] for axis in TO_LAST] if last else list(pairs)
    shape = tuple(
        int(n) + a + b for n, (a, b) in zip(w.graph.tensors[source].shape, ordered, strict=True)
    )
    quant = w.quant(op.inputs[0])
    made = w.tensor(f"{op.output}/padded", shape, quant)
    amounts = w.integers(ordered, f"{op.output}/pads")
    if fill == 0.0:  # PAD writes the zero point
        w.operator("PAD", [source, amounts], [made], w.schema.PadOptionsT())
        return made
    value = np.array(fill, np.float32).reshape(1)
    if quant is not None:
        with np.errstate(over="ignore"):
            steps = np.clip(np.rint(value / quant.scale) + quant.zero, -128, 127)
        value = steps.astype(np.int8)
    number = w.tensor(f"{op.output}/fill", (1,), quant, value)
    w.operator("PADV2", [source, amounts, number], [made], w.schema.PadV2OptionsT())
    return made
