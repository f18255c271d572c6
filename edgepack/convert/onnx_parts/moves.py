"""Pad and Slice in the forms that onnx2tf knows (definitions: onnx Operators.md)."""

from __future__ import annotations

from edgepack.convert.onnx_parts.parts import Parts

# operator sets since when these take their parameters as inputs
PAD_INPUTS, SLICE_INPUTS = 11, 10


def cut(
    p: Parts,
    x: str,
    axes: list[int],
    starts: list[int],
    ends: list[int],
    steps: list[int] | None = None,
    output: str = "",
) -> str:
    """A Slice of some axes."""
    inputs = [p.integers(starts), p.integers(ends), p.integers(axes)]
    if steps is not None:
        inputs.append(p.integers(steps))
    return p.node("Slice", x, *inputs, output=output)


def pad(p: Parts) -> bool:
    """Pads of all axes where some are named; modes `edge` and `wrap` by putting slices together."""
    mode, amounts = p.text("mode", "constant"), p.value(1)
    if (
        p.opset < PAD_INPUTS
        or amounts is None
        or (mode in ("constant", "reflect") and not p.has(3))
    ):
        return False
    rank, axes = len(p.shape()), p.value(3)
    named = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes]
    before, behind = [0] * rank, [0] * rank
    for place, axis in enumerate(named):
        before[axis] = int(amounts[place])
        behind[axis] = int(amounts[place + len(named)])
    if mode in ("constant", "reflect"):
        inputs = [p.inputs[0], p.integers([*before, *behind])]
        inputs += [p.inputs[2]] if p.has(2) else []
        p.node("Pad", *inputs, output=p.outputs[0], mode=mode)
        return True
    if min(*before, *behind) < 0:
        return False
    x = p.inputs[0]
    for axis, size in enumerate(p.shape()):
        places = range(-before[axis], size + behind[axis])
        wanted = [min(max(i, 0), size - 1) if mode == "edge" else i % size for i in places]
        if len(wanted) > size:
            x = p.node("Gather", x, p.integers(wanted), axis=axis)
    p.node("Identity", x, output=p.outputs[0])
    return True


def backward_slice(p: Parts) -> bool:
    """Steps below 0 as constant indices."""
    if p.opset < SLICE_INPUTS or not p.has(4):
        return False
    starts, ends, steps = (p.value(i) for i in (1, 2, 4))
    if starts is None or ends is None or steps is None or min(steps) > 0:
        return False
    rank, axes = len(p.shape()), p.value(3)
    named = range(len(starts)) if axes is None else [int(axis) % rank for axis in axes]
    x = p.inputs[0]
    for axis, start, end, step in zip(named, starts, ends, steps, strict=True):
        places = range(*slice(int(start), int(end), int(step)).indices(p.shape()[axis]))
        x = p.node("Gather", x, p.integers(list(places)), axis=axis)
    p.node("Identity", x, output=p.outputs[0])
    return True
