"""ONNX operators that move values or add some around them, as TFLite operators."""

from __future__ import annotations

from typing import Any

from edgepack.convert.qdq import padding
from edgepack.convert.qdq.graph import Constant, Op, Quant
from edgepack.convert.qdq.writer import TO_LAST, Writer
from edgepack.errors import UnsupportedError


def constant_of(w: Writer, op: Op, position: int) -> Constant:
    """A constant input of an operator.

    Raises:
        UnsupportedError: it is computed.
    """
    found = w.source.constants.get(op.inputs[position])
    if found is None:
        raise UnsupportedError(f"input {position} of {op} is computed at run time, no constant")
    return found


def reshape(w: Writer, op: Op, quant: Quant | None) -> None:
    """Flatten, Reshape, Squeeze and Unsqueeze: the output's shape says it all."""
    source, shape = w.shape(op.inputs[0]), w.shape(op.output)
    # one row or one channel: the order of elements is the same in both layouts
    plain = len(source) == 4 and (source[1] == 1 or source[2] * source[3] == 1)
    last = plain and w.has(op.inputs[0], last=True)
    w.reshaped(w.get(op.inputs[0], last=last), w.new(op, quant), shape)


def transpose(w: Writer, op: Op, quant: Quant | None) -> None:
    """Transpose; none where only the layout that is held changes."""
    rank = len(w.shape(op.output))
    order = [int(a) for a in op.attributes.get("perm", range(rank)[::-1])]
    for last in (True, False):
        for target in (True, False):
            if (rank != 4 and (last or target)) or not w.has(op.inputs[0], last=last):
                continue
            held = [TO_LAST.index(axis) for axis in order] if last else order
            if target:
                held = [held[axis] for axis in TO_LAST]
            if held == list(range(rank)):
                w.hold(op.output, w.get(op.inputs[0], last=last), last=target)
                return
    made = w.moved(op.output, w.get(op.inputs[0]), tuple(order))
    w.hold(op.output, made)


def pad(w: Writer, op: Op, quant: Quant | None) -> None:
    """Pad with a constant number."""
    if bytes(op.attributes.get("mode", b"constant")) != b"constant" or len(op.inputs) > 3:
        raise UnsupportedError(f"{op} has another mode or axes", allowed="mode=constant, no axes")
    amounts = op.attributes.get("pads")
    if amounts is None:
        amounts = constant_of(w, op, 1).value
    fill = float(op.attributes.get("value", 0.0))
    if len(op.inputs) > 2 and op.inputs[2]:
        fill = float(constant_of(w, op, 2).real.reshape(-1)[0])
    values = [int(amount) for amount in amounts]
    rank = len(values) // 2
    pairs = list(zip(values[:rank], values[rank:], strict=True))
    last = rank == 4 and w.prefers_last(op.inputs[0])
    made = padding.pad(w, op, w.get(op.inputs[0], last=last), pairs, fill, last=last)
    w.hold(op.output, made, last=last)


def resize(w: Writer, op: Op, quant: Quant | None) -> None:
    """Resize, in the forms that TFLite has."""
    text = {k: bytes(v).decode() for k, v in op.attributes.items() if isinstance(v, bytes)}
    mode = text.get("mode", "nearest")
    place = text.get("coordinate_transformation_mode", "half_pixel")
    rounding = text.get("nearest_mode", "round_prefer_floor")
    schema = w.schema
    options: Any
    if mode == "nearest" and place == "asymmetric" and rounding == "floor":
        kind, options = "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT()
    elif mode == "linear" and place in ("half_pixel", "align_corners"):
        kind, options = "RESIZE_BILINEAR", schema.ResizeBilinearOptionsT()
        options.halfPixelCenters = place == "half_pixel"
        options.alignCorners = place == "align_corners"
    else:
        raise UnsupportedError(
            f"{op} has mode {mode}, {place}, {rounding}",
            allowed="nearest with asymmetric and floor; linear with half_pixel or align_corners",
        )
    size = w.integers(w.shape(op.output)[2:], f"{op.output}/size")
    inputs = [w.get(op.inputs[0], last=True), size]
    w.operator(kind, inputs, [w.new(op, quant, last=True)], options)


def same(w: Writer, op: Op, quant: Quant | None) -> None:
    """Identity and Dropout."""
    last = w.prefers_last(op.inputs[0])
    w.hold(op.output, w.get(op.inputs[0], last=last), last=last)
