"""ONNX operators on floats, integers and booleans that have one TFLite operator.

Values keep ONNX's order of axes unless they are at hand with the channels last only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.convert.qdq.graph import Op, Quant
from edgepack.convert.qdq.moves import constant_of
from edgepack.convert.qdq.writer import TO_LAST, Writer
from edgepack.errors import UnsupportedError
from edgepack.types import Array

Write = Callable[[Writer, Op, Quant | None], None]


def each(kind: str, options: str | None = None) -> Write:
    """An operator that looks at one element of one input."""

    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        last = w.prefers_last(op.inputs[0])
        made = getattr(w.schema, options)() if options else None
        w.operator(kind, [w.get(op.inputs[0], last=last)], [w.new(op, quant, last=last)], made)

    return write


def pairs(kind: str, options: str | None = None) -> Write:
    """An operator on elements of two or three inputs, which broadcast."""

    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        last = len(w.shape(op.output)) == 4 and w.prefers_last(*op.inputs)
        made = getattr(w.schema, options)() if options else None
        inputs = [w.get(name, last=last) for name in op.inputs]
        w.operator(kind, inputs, [w.new(op, quant, last=last)], made)

    return write


def cast(w: Writer, op: Op, quant: Quant | None) -> None:
    """Cast."""
    last = w.prefers_last(op.inputs[0])
    source, made = w.get(op.inputs[0], last=last), w.new(op, quant, last=last)
    options = w.schema.CastOptionsT()
    options.inDataType = w.graph.tensors[source].type
    options.outDataType = w.graph.tensors[made].type
    w.operator("CAST", [source], [made], options)


def named_axes(w: Writer, op: Op) -> list[int]:
    """The axes of a reduction, an input since operator set 13 or 18; all where none are named."""
    rank = len(w.shape(op.inputs[0]))
    axes = op.attributes.get("axes", ())
    if len(op.inputs) > 1 and op.inputs[1]:
        axes = constant_of(w, op, 1).value
    if len(axes) == 0 and op.attributes.get("noop_with_empty_axes", 0):
        raise UnsupportedError(f"{op} reduces nothing")
    return sorted(int(axis) % rank for axis in axes) or list(range(rank))


def reduction(kind: str) -> Write:
    """SUM and the like; MEAN of an image stays with its channels last."""

    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        axes, keep = named_axes(w, op), bool(op.attributes.get("keepdims", 1))
        options = w.schema.ReducerOptionsT()
        options.keepDims = keep
        last = w.prefers_last(op.inputs[0]) and (keep or axes == [2, 3])
        places = sorted(TO_LAST.index(axis) for axis in axes) if last else axes
        inputs = [w.get(op.inputs[0], last=last), w.integers(places, f"{op.output}/axes")]
        w.operator(kind, inputs, [w.new(op, quant, last=last and keep)], options)

    return write


def extreme(kind: str) -> Write:
    """ArgMax and ArgMin: int32, which a RESHAPE brings to its rank and a CAST to int64."""

    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        shape = w.shape(op.inputs[0])
        axis = int(op.attributes.get("axis", 0)) % len(shape)
        flat = tuple(size for place, size in enumerate(shape) if place != axis)
        options = getattr(w.schema, f"{kind.title().replace('_', '')}OptionsT")()
        options.outputType = w.schema.TensorType.INT32
        place = w.integers(np.array(axis), f"{op.output}/axis")
        found = w.tensor(f"{op.output}/place", flat, None, dtype=np.dtype(np.int32))
        w.operator(kind, [w.get(op.inputs[0]), place], [found], options)
        if op.attributes.get("keepdims", 1):
            kept = (*shape[:axis], 1, *shape[axis + 1 :])
            made = w.tensor(f"{op.output}/kept", kept, None, dtype=np.dtype(np.int32))
            w.reshaped(found, made, kept)
            found = made
        wide = w.schema.CastOptionsT()
        wide.inDataType = w.schema.TensorType.INT32
        wide.outDataType = w.schema.TensorType.INT64
        w.operator("CAST", [found], [w.new(op, quant)], wide)

    return write


def gather(w: Writer, op: Op, quant: Quant | None) -> None:
    """Gather by indices that count from the end where they are negative."""
    shape = w.shape(op.inputs[0])
    axis = int(op.attributes.get("axis", 0)) % len(shape)
    constant = w.source.constants.get(op.inputs[1])
    last = len(shape) == 4 and w.prefers_last(op.inputs[0])
    options = w.schema.GatherOptionsT()
    if constant is None:
        indices = _from_the_front(w, op, shape[axis])
        last = last and len(w.shape(op.inputs[1])) == 1
    else:
        indices = w.integers(constant.value % shape[axis], f"{op.output}/indices")
        last = last and constant.value.ndim == 1
    options.axis = TO_LAST.index(axis) if last else axis
    inputs = [w.get(op.inputs[0], last=last), indices]
    w.operator("GATHER", inputs, [w.new(op, quant, last=last)], options)


def _from_the_front(w: Writer, op: Op, size: int) -> int:
    """Computed indices as int32, with `size` added where they are negative."""
    name, schema = op.inputs[1], w.schema
    shape, kinds = w.shape(name), schema.TensorType
    int32, boolean = np.dtype(np.int32), np.dtype(np.bool_)

    def made(kind: str, inputs: list[int], options: Any, dtype: Any = int32) -> int:
        tensor = w.tensor(f"{op.output}/{kind.lower()}", shape, None, dtype=dtype)
        w.operator(kind, inputs, [tensor], options)
        return tensor

    def as_int32(tensor: int) -> int:
        options = schema.CastOptionsT()
        options.inDataType, options.outDataType = w.graph.tensors[tensor].type, kinds.INT32
        return made("CAST", [tensor], options)

    index = w.get(name)
    if w.graph.tensors[index].type != kinds.INT32:
        index = as_int32(index)
    zero, whole = (w.integers(np.array(v), f"{op.output}/{v}") for v in (0, size))
    below = as_int32(made("LESS", [index, zero], schema.LessOptionsT(), boolean))
    added = made("MUL", [below, whole], schema.MulOptionsT())
    return made("ADD", [index, added], schema.AddOptionsT())


def cut(w: Writer, op: Op, quant: Quant | None) -> None:
    """Slice."""
    shape = w.shape(op.inputs[0])
    begin, end, step = _range(w, op, shape)
    last = len(shape) == 4 and w.prefers_last(op.inputs[0])
    columns = [[column[axis] for axis in TO_LAST] if last else column for column in (begin, end)]
    steps = [step[axis] for axis in TO_LAST] if last else step
    vectors = [w.integers(c, f"{op.output}/range") for c in (*columns, steps)]
    options = w.schema.StridedSliceOptionsT()
    inputs = [w.get(op.inputs[0], last=last), *vectors]
    w.operator("STRIDED_SLICE", inputs, [w.new(op, quant, last=last)], options)


def _range(w: Writer, op: Op, shape: tuple[int, ...]) -> tuple[list[int], list[int], list[int]]:
    """Begin, end and step of every axis: inputs since operator set 10, attributes before."""
    found: list[Any] = []
    for position, key in enumerate(("starts", "ends", "axes", "steps"), start=1):
        given = len(op.inputs) > position and bool(op.inputs[position])
        found.append(constant_of(w, op, position).value if given else op.attributes.get(key))
    starts, ends, axes, steps = found
    begin, end, step = [0] * len(shape), list(shape), [1] * len(shape)
    for place, start in enumerate(starts):
        axis = int(axes[place]) % len(shape) if axes is not None else place
        stride = 1 if steps is None else int(steps[place])
        if stride < 1:
            raise UnsupportedError(f"{op} has a step below 1")
        places = range(*slice(int(start), int(ends[place]), stride).indices(shape[axis]))
        begin[axis], end[axis], step[axis] = places.start, places.stop, stride
    return begin, end, step


def split(w: Writer, op: Op, quant: Quant | None) -> None:
    """Split; each part is a value of its own."""
    shape = w.shape(op.inputs[0])
    rank = len(shape)
    axis = int(op.attributes.get("axis", 0)) % rank
    last = rank == 4 and w.prefers_last(op.inputs[0])
    names = [op.output, *op.more]
    sizes = [w.shape(name)[axis] for name in names]
    options = w.schema.SplitVOptionsT()
    options.numSplits = len(names)
    place = TO_LAST.index(axis) if last else axis
    inputs = [
        w.get(op.inputs[0], last=last),
        w.integers(sizes, f"{op.output}/sizes"),
        w.integers(np.array(place), f"{op.output}/axis"),
    ]
    outputs = [w.named(name, quant, last=last) for name in names]
    w.operator("SPLIT_V", inputs, outputs, options)


def expand(w: Writer, op: Op, quant: Quant | None) -> None:
    """Expand."""
    shape = w.integers(w.shape(op.output), f"{op.output}/shape")
    options = w.schema.BroadcastToOptionsT()
    w.operator("BROADCAST_TO", [w.get(op.inputs[0]), shape], [w.new(op, quant)], options)


def tile(w: Writer, op: Op, quant: Quant | None) -> None:
    """Tile."""
    repeats = w.integers(constant_of(w, op, 1).value, f"{op.output}/repeats")
    options = w.schema.TileOptionsT()
    w.operator("TILE", [w.get(op.inputs[0]), repeats], [w.new(op, quant)], options)


def reciprocal(w: Writer, op: Op, quant: Quant | None) -> None:
    """1 / x."""
    one: Array = np.ones((), np.float32)
    last = w.prefers_last(op.inputs[0])
    inputs = [w.tensor("one", (), None, one), w.get(op.inputs[0], last=last)]
    w.operator("DIV", inputs, [w.new(op, quant, last=last)], w.schema.DivOptionsT())


def blocks(kind: str) -> Write:
    """DepthToSpace in the order DCR, and SpaceToDepth: TFLite has the depth of a block outside."""

    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        mode = bytes(op.attributes.get("mode", b"DCR")).decode()
        if mode != "DCR":
            raise UnsupportedError(f"{op} has mode {mode}", allowed="DCR")
        options = getattr(w.schema, f"{kind.title().replace('_', '')}OptionsT")()
        options.blockSize = int(op.attributes["blocksize"])
        inputs = [w.get(op.inputs[0], last=True)]
        w.operator(kind, inputs, [w.new(op, quant, last=True)], options)

    return write


PLAIN: dict[str, tuple[Write, int | None]] = {
    "Abs": (each("ABS", "AbsOptionsT"), 1),
    "And": (pairs("LOGICAL_AND", "LogicalAndOptionsT"), 2),
    "ArgMax": (extreme("ARG_MAX"), 1),
    "ArgMin": (extreme("ARG_MIN"), 1),
    "Cast": (cast, 1),
    "Ceil": (each("CEIL"), 1),
    "Cos": (each("COS", "CosOptionsT"), 1),
    "DepthToSpace": (blocks("DEPTH_TO_SPACE"), 1),
    "Equal": (pairs("EQUAL", "EqualOptionsT"), 2),
    "Exp": (each("EXP", "ExpOptionsT"), 1),
    "Expand": (expand, 1),
    "Floor": (each("FLOOR"), 1),
    "Gather": (gather, 1),
    "Greater": (pairs("GREATER", "GreaterOptionsT"), 2),
    "GreaterOrEqual": (pairs("GREATER_EQUAL", "GreaterEqualOptionsT"), 2),
    "Less": (pairs("LESS", "LessOptionsT"), 2),
    "LessOrEqual": (pairs("LESS_EQUAL", "LessEqualOptionsT"), 2),
    "Log": (each("LOG"), 1),
    "Neg": (each("NEG", "NegOptionsT"), 1),
    "Not": (each("LOGICAL_NOT", "LogicalNotOptionsT"), 1),
    "Or": (pairs("LOGICAL_OR", "LogicalOrOptionsT"), 2),
    "Pow": (pairs("POW", "PowOptionsT"), 2),
    "Reciprocal": (reciprocal, 1),
    "ReduceMax": (reduction("REDUCE_MAX"), 1),
    "ReduceMin": (reduction("REDUCE_MIN"), 1),
    "ReduceSum": (reduction("SUM"), 1),
    "Round": (each("ROUND"), 1),
    "Sin": (each("SIN"), 1),
    "Slice": (cut, 1),
    "SpaceToDepth": (blocks("SPACE_TO_DEPTH"), 1),
    "Split": (split, 1),
    "Sqrt": (each("SQRT"), 1),
    "Tile": (tile, 1),
    "Where": (pairs("SELECT_V2", "SelectV2OptionsT"), 3),
}
