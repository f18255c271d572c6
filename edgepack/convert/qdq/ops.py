"""ONNX operators -> TFLite operators, int8 or float. To add one, write it and add a row.

Attributes are those of ONNX's Operators.md and of schema.fbs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgepack.convert.qdq import moves, padding, weights
from edgepack.convert.qdq.graph import KEEPING, Op, Quant, clip_bounds
from edgepack.convert.qdq.moves import constant_of
from edgepack.convert.qdq.plain import PLAIN
from edgepack.convert.qdq.writer import TO_LAST, Writer
from edgepack.convert.wide_weights import plain_convolution
from edgepack.errors import UnsupportedError

_ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
# what TFLite's int8 kernels write, whatever the graph says (tensorflow.org/lite/performance/
# quantization_spec): scale and zero point
_FIXED = {"Softmax": (1 / 256, -128), "Sigmoid": (1 / 256, -128), "Tanh": (1 / 128, 0)}
# TFLite's int8 kernels of these have one scale for input and output (the same specification)
_UNSCALED = KEEPING | {"AveragePool", "Concat", "Pad", "Resize"}


@dataclass(frozen=True)
class Emitter:
    """How one operator is written.

    `data`: the inputs that hold values, not shapes; None for all. `int8`: whether an int8 kernel
    exists; otherwise it computes on floats between DEQUANTIZE and QUANTIZE.
    """

    write: Callable[[Writer, Op, Quant | None], None]
    data: int | None = 1
    int8: bool = True


def emit(w: Writer, op: Op) -> None:
    """Write one operator, with what its precision and TFLite's rules ask for around it.

    Raises:
        UnsupportedError: it has no form in TFLite; names the node.
    """
    emitter = EMITTERS.get(op.kind)
    if emitter is None:
        raise UnsupportedError(
            f"no int8 form is known of {op}",
            allowed=", ".join(EMITTERS),
            next_step="convert the float ONNX model, and quantize it with edgepack",
        )
    data = [name for name in op.inputs[: emitter.data] if name]
    wanted = w.quant(op.output)
    is_int8 = emitter.int8 and wanted is not None and all(w.quant(n) is not None for n in data)
    if is_int8 and wanted is not None:
        _emit_int8(w, op, emitter, wanted)
        return
    inputs = list(op.inputs)
    for position, name in enumerate(data):
        if w.quant(name) is not None and op.kind != "Quantize":
            w.as_float(name)
            inputs[op.inputs.index(name) if inputs[position] != name else position] = (
                f"{name}/float"
            )
    if wanted is None or op.kind == "Quantize":
        emitter.write(w, replace(op, inputs=inputs), wanted)
        return
    made = _beside(w, op, "real")
    emitter.write(w, replace(op, inputs=inputs, output=made), None)
    requantize(w, made, op.output, wanted)


def _emit_int8(w: Writer, op: Op, emitter: Emitter, wanted: Quant) -> None:
    exact = wanted
    if op.kind in _FIXED:
        scale, zero = _FIXED[op.kind]
        exact = Quant(np.array([scale], np.float32), np.array([zero]))
    elif op.kind in _UNSCALED and op.kind != "Concat":
        exact = w.quant(op.inputs[0]) or wanted
    if exact.same(wanted):
        emitter.write(w, op, wanted)
        return
    made = _beside(w, op, "exact")
    w.source.quants[made] = exact
    emitter.write(w, replace(op, output=made), exact)
    requantize(w, made, op.output, wanted)


def _beside(w: Writer, op: Op, what: str) -> str:
    name = f"{op.output}/{what}"
    w.shapes[name] = w.shape(op.output)
    return name


def requantize(w: Writer, source: str, target: str, quant: Quant) -> None:
    """QUANTIZE a value, in the layout that it has."""
    last = w.has(source, last=True)
    op = Op("Quantize", target, [source], target)
    w.operator(
        "QUANTIZE",
        [w.get(source, last=last)],
        [w.new(op, quant, last=last)],
        w.schema.QuantizeOptionsT(),
    )


def _quantize(w: Writer, op: Op, quant: Quant | None) -> None:
    assert quant is not None
    requantize(w, op.inputs[0], op.output, quant)


def _fused(options: Any, op: Op) -> Any:
    options.fusedActivationFunction = _ACTIVATIONS[op.activation]
    return options


def _conv(w: Writer, op: Op, quant: Quant | None) -> None:
    constant = constant_of(w, op, 1)
    value = constant.value
    window = padding.window_of(w, op, value.shape[2:])
    channels = w.shape(op.inputs[0])[1]
    group = int(op.attributes.get("group", 1))
    is_depthwise = group == channels and value.shape[1] == 1 and group > 1
    image, pad = padding.padded(w, op, window, 0.0)
    schema = w.schema
    options = schema.DepthwiseConv2DOptionsT() if is_depthwise else schema.Conv2DOptionsT()
    if is_depthwise:
        options.depthMultiplier = value.shape[0] // channels
    options.padding = pad
    options.strideH, options.strideW = window.strides
    options.dilationHFactor, options.dilationWFactor = window.dilations
    _fused(options, op)
    if is_depthwise:  # O1HW -> 1HWO
        made = weights.depthwise(w, op, value.transpose(1, 2, 3, 0), constant.quant, image)
    else:
        made = weights.ordinary(w, op, value.transpose(TO_LAST), constant.quant, image)
    w.operator(
        "DEPTHWISE_CONV_2D" if made.is_depthwise else "CONV_2D",
        [made.source, made.filters, *weights.bias(w, op, constant, value.shape[0])],
        [w.new(op, quant, last=True)],
        plain_convolution(options) if is_depthwise and not made.is_depthwise else options,
    )


def _dense(w: Writer, op: Op, quant: Quant | None) -> None:
    if op.inputs[1] not in w.source.constants or len(w.shape(op.inputs[1])) > 2:
        _batch_matmul(w, op, quant)
        return
    constant = constant_of(w, op, 1)
    get = op.attributes.get
    if get("transA", 0) or get("alpha", 1.0) != 1.0 or get("beta", 1.0) != 1.0:
        raise UnsupportedError(f"{op} has transA, alpha or beta", allowed="transA=0, alpha=beta=1")
    value, is_transposed = constant.value, bool(get("transB", 0))
    if value.ndim != 2:
        raise UnsupportedError(f"the weights of {op} have {value.ndim} axes", allowed="2")
    units = 0 if is_transposed else 1
    scales = constant.quant
    if scales is not None and scales.scale.size > 1 and scales.axis != units:
        raise UnsupportedError(f"the weights of {op} have a scale per input, not per output")
    filters = value if is_transposed else value.T
    made = weights.ordinary(w, op, filters, scales, w.get(op.inputs[0]))
    options = _fused(w.schema.FullyConnectedOptionsT(), op)
    options.keepNumDims = len(w.shape(op.inputs[0])) > 2
    inputs = [made.source, made.filters, *weights.bias(w, op, constant, value.shape[units])]
    w.operator("FULLY_CONNECTED", inputs, [w.new(op, quant)], options)


def _batch_matmul(w: Writer, op: Op, quant: Quant | None) -> None:
    if op.kind != "MatMul" or op.activation != "NONE":
        raise UnsupportedError(f"{op} has weights that are computed, or of more than two axes")
    inputs = [w.get(name) for name in op.inputs[:2]]
    w.operator("BATCH_MATMUL", inputs, [w.new(op, quant)], w.schema.BatchMatMulOptionsT())


def _binary(kind: str, options: str) -> Callable[[Writer, Op, Quant | None], None]:
    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        last = len(w.shape(op.output)) == 4 and w.prefers_last(*op.inputs[:2])
        inputs = [w.get(name, last=last) for name in op.inputs[:2]]
        made = getattr(w.schema, options)()
        if hasattr(made, "fusedActivationFunction"):
            _fused(made, op)
        w.operator(kind, inputs, [w.new(op, quant, last=last)], made)

    return write


def _unary(kind: str, options: str | None = None) -> Callable[[Writer, Op, Quant | None], None]:
    def write(w: Writer, op: Op, quant: Quant | None) -> None:
        last = w.prefers_last(op.inputs[0])
        made: Any = getattr(w.schema, options)() if options else None
        if kind == "LEAKY_RELU":
            made.alpha = float(op.attributes.get("alpha", 0.01))
        w.operator(kind, [w.get(op.inputs[0], last=last)], [w.new(op, quant, last=last)], made)

    return write


def _clip(w: Writer, op: Op, quant: Quant | None) -> None:
    bounds = clip_bounds(op, w.source.constants)
    kind = {(0.0, 6.0): "RELU6", (0.0, np.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}.get(bounds)
    if kind is None:
        raise UnsupportedError(f"{op} has the bounds {bounds}", allowed="0 and 6, 0, -1 and 1")
    _unary(kind)(w, op, quant)


def _softmax(w: Writer, op: Op, quant: Quant | None) -> None:
    rank = len(w.shape(op.output))
    if int(op.attributes.get("axis", -1)) % rank != rank - 1:
        raise UnsupportedError(f"{op} is not over the last axis", allowed="axis=-1")
    options = w.schema.SoftmaxOptionsT()
    options.beta = 1.0
    w.operator("SOFTMAX", [w.get(op.inputs[0])], [w.new(op, quant)], options)


def _pool(w: Writer, op: Op, quant: Quant | None) -> None:
    window = padding.window_of(w, op, op.attributes["kernel_shape"])
    if window.dilations != (1, 1):
        raise UnsupportedError(f"{op} is dilated")
    is_max = op.kind == "MaxPool"
    counted = bool(op.attributes.get("count_include_pad", 0))
    fill = -np.inf if is_max else 0.0 if counted else None
    image, pad = padding.padded(w, op, window, fill)
    if counted and pad == padding.SAME:  # TFLite's SAME leaves the padding out
        pairs = [(0, 0), (0, 0), *zip(window.before, window.behind, strict=True)]
        image, pad = padding.pad(w, op, image, pairs, 0.0), padding.VALID
    options = w.schema.Pool2DOptionsT()
    options.padding = pad
    options.strideH, options.strideW = window.strides
    options.filterHeight, options.filterWidth = window.kernel
    kind = "MAX_POOL_2D" if is_max else "AVERAGE_POOL_2D"
    w.operator(kind, [image], [w.new(op, quant, last=True)], _fused(options, op))


def _mean(w: Writer, op: Op, quant: Quant | None) -> None:
    rank = len(w.shape(op.inputs[0]))
    if op.kind == "GlobalAveragePool":
        axes, keep = list(range(2, rank)), True
    else:
        keep = bool(op.attributes.get("keepdims", 1))
        axes = list(op.attributes.get("axes", ()))
        if len(op.inputs) > 1 and op.inputs[1]:
            axes = [int(axis) for axis in constant_of(w, op, 1).value]
        axes = sorted(int(axis) % rank for axis in axes) or list(range(rank))
    # without its rows and columns what is left of an image has no layout
    last = w.prefers_last(op.inputs[0]) and (keep or axes == [2, 3])
    if last:
        source_axes = sorted(TO_LAST.index(axis) for axis in axes)
    else:
        source_axes = axes
    options = w.schema.ReducerOptionsT()
    options.keepDims = keep
    inputs = [w.get(op.inputs[0], last=last), w.integers(source_axes, f"{op.output}/axes")]
    w.operator("MEAN", inputs, [w.new(op, quant, last=last and keep)], options)


def _concat(w: Writer, op: Op, quant: Quant | None) -> None:
    inputs = []
    for position, name in enumerate(op.inputs):
        known = w.quant(name)
        if quant is not None and known is not None and not known.same(quant):
            made = f"{op.output}/{position}"
            w.shapes[made] = w.shape(name)
            w.source.quants[made] = quant
            requantize(w, name, made, quant)
            name = made
        inputs.append(name)
    rank = len(w.shape(op.output))
    last = rank == 4 and w.prefers_last(*inputs)
    axis = int(op.attributes["axis"]) % rank
    options = w.schema.ConcatenationOptionsT()
    options.axis = TO_LAST.index(axis) if last else axis
    tensors = [w.get(name, last=last) for name in inputs]
    w.operator("CONCATENATION", tensors, [w.new(op, quant, last=last)], options)


EMITTERS: dict[str, Emitter] = {
    "Add": Emitter(_binary("ADD", "AddOptionsT"), 2),
    "AveragePool": Emitter(_pool),
    "Clip": Emitter(_clip),
    "Concat": Emitter(_concat, None),
    "Conv": Emitter(_conv, 2),
    "Div": Emitter(_binary("DIV", "DivOptionsT"), 2, int8=False),
    "Dropout": Emitter(moves.same),
    "Flatten": Emitter(moves.reshape),
    "Gemm": Emitter(_dense, 2),
    "GlobalAveragePool": Emitter(_mean),
    "HardSwish": Emitter(_unary("HARD_SWISH", "HardSwishOptionsT")),
    "Identity": Emitter(moves.same),
    "LeakyRelu": Emitter(_unary("LEAKY_RELU", "LeakyReluOptionsT")),
    "MatMul": Emitter(_dense, 2),
    "Max": Emitter(_binary("MAXIMUM", "MaximumMinimumOptionsT"), 2, int8=False),
    "MaxPool": Emitter(_pool),
    "Min": Emitter(_binary("MINIMUM", "MaximumMinimumOptionsT"), 2, int8=False),
    "Mul": Emitter(_binary("MUL", "MulOptionsT"), 2),
    "Pad": Emitter(moves.pad),
    "Quantize": Emitter(_quantize),
    "ReduceMean": Emitter(_mean),
    "Relu": Emitter(_unary("RELU")),
    "Reshape": Emitter(moves.reshape),
    "Resize": Emitter(moves.resize),
    "Sigmoid": Emitter(_unary("LOGISTIC")),
    "Softmax": Emitter(_softmax),
    "Squeeze": Emitter(moves.reshape),
    "Sub": Emitter(_binary("SUB", "SubOptionsT"), 2),
    "Tanh": Emitter(_unary("TANH")),
    "Transpose": Emitter(moves.transpose),
    "Unsqueeze": Emitter(moves.reshape),
    **{kind: Emitter(write, data, int8=False) for kind, (write, data) in PLAIN.items()},
}
