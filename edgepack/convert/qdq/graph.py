"""A quantized ONNX graph as operators on values that know their scale and zero point.

QuantizeLinear and DequantizeLinear pairs, and the QLinear operators of ONNX and ONNX Runtime, say
the same in two ways; here both become one. uint8 becomes int8 by taking 128 from the stored values
and from the zero point, which keeps every real value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.types import Array

_SHIFT = 128  # from uint8 to int8
_ADVICE = (
    "quantize again with ONNX Runtime's quantize_static: int8 or uint8 activations per tensor, "
    "symmetric int8 weights"
)
# operator that carries its quantization -> (plain operator, positions of (value, scale, zero) of
# its inputs, position of the output's scale, position of the bias or None). The first two are in
# ONNX's Operators.md, the others in ONNX Runtime's ContribOperators.md.
_QLINEAR: dict[str, tuple[str, tuple[int, ...], int, int | None]] = {
    "QLinearConv": ("Conv", (0, 3), 6, 8),
    "QLinearMatMul": ("MatMul", (0, 3), 6, None),
    "QGemm": ("Gemm", (0, 3), 7, 6),
    "QLinearAdd": ("Add", (0, 3), 6, None),
    "QLinearMul": ("Mul", (0, 3), 6, None),
    "QLinearAveragePool": ("AveragePool", (0,), 3, None),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), 3, None),
    "QLinearSigmoid": ("Sigmoid", (0,), 3, None),
    "QLinearLeakyRelu": ("LeakyRelu", (0,), 3, None),
    "QLinearSoftmax": ("Softmax", (0,), 3, None),
}
# operators whose result has the quantization of their input, as they only move or choose values
KEEPING = frozenset(
    {"Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Dropout"}
)
# TensorProto.DataType of values that no quantization belongs to
_PLAIN: dict[int, np.dtype[Any]] = {
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
}
# what a fused activation of TFLite can follow
_FUSING = frozenset({"Add", "AveragePool", "Conv", "Gemm", "MatMul", "Mul", "Sub"})


@dataclass(frozen=True)
class Quant:
    """real = scale * (stored - zero), stored as int8 (a bias: int32).

    `scale` is float32 and `zero` int64, both of one entry or one per index of `axis`.
    """

    scale: Array
    zero: Array
    axis: int = 0

    def same(self, other: Quant) -> bool:
        """Whether two are equal bit by bit."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)


@dataclass(frozen=True)
class Constant:
    """A constant: `value` is float, or what is stored where `quant` says how."""

    value: Array
    quant: Quant | None = None

    @property
    def real(self) -> Array:
        """The numbers that it stands for."""
        if self.quant is None:
            return self.value
        shape = [1] * self.value.ndim
        if self.quant.scale.size > 1:
            shape[self.quant.axis] = -1
        shifted = self.value.astype(np.int64) - self.quant.zero.reshape(shape)
        return (shifted * self.quant.scale.reshape(shape)).astype(np.float32)


@dataclass
class Op:
    """One operator; `low` and `high` bound its result where an activation was fused."""

    kind: str
    name: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)
    activation: str = "NONE"
    more: tuple[str, ...] = ()  # its outputs behind the first

    def __str__(self) -> str:
        return f"{self.kind} (node {self.name})"


@dataclass
class QuantGraph:
    """Operators in order, and of every value what is known."""

    ops: list[Op]
    constants: dict[str, Constant]
    quants: dict[str, Quant]
    shapes: dict[str, tuple[int, ...]]
    inputs: list[str]
    outputs: list[str]
    types: dict[str, np.dtype[Any]] = field(default_factory=dict)  # of values that are not float32


class Reader:
    """Reads a ModelProto whose shapes are inferred, as far as they can be."""

    def __init__(self, proto: Any) -> None:
        from onnx import numpy_helper

        self._proto = proto
        self._opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
        self.constants = {
            t.name: Constant(numpy_helper.to_array(t)) for t in proto.graph.initializer
        }
        self._alias: dict[str, str] = {}
        self.quants: dict[str, Quant] = {}
        self.ops: list[Op] = []
        self._uses = Counter(name for node in proto.graph.node for name in node.input)
        self._uses.update(value.name for value in proto.graph.output)
        self._made: set[str] = {value.name for value in proto.graph.input}

    def read(self, shapes: dict[str, tuple[int, ...]]) -> QuantGraph:
        """The graph.

        Raises:
            UnsupportedError: a quantization that TFLite has no form for; names the node.
        """
        for node in self._proto.graph.node:
            self._node(node)
        self._fuse()
        return QuantGraph(
            self.ops,
            self.constants,
            self.quants,
            shapes,
            [value.name for value in self._proto.graph.input],
            [self.resolve(value.name) for value in self._proto.graph.output],
            self._types(),
        )

    def _types(self) -> dict[str, np.dtype[Any]]:
        """The element types of values that are known and neither float32 nor quantized."""
        graph = self._proto.graph
        known = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
        return {name: _PLAIN[kind] for name, kind in known.items() if kind in _PLAIN}

    def resolve(self, name: str) -> str:
        """The value that a name stands for."""
        while name in self._alias:
            name = self._alias[name]
        return name

    def _node(self, node: Any) -> None:
        if node.op_type == "QuantizeLinear":
            self._quantize(node)
        elif node.op_type == "DequantizeLinear":
            self._dequantize(node)
        elif node.op_type == "Constant":
            self._constant(node)
        elif node.op_type in _QLINEAR:
            self._qlinear(node)
        elif node.op_type == "QLinearConcat":
            self._concat(node)
        elif node.domain not in ("", "ai.onnx") or node.op_type in (
            "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"
        ):  # fmt: skip
            raise UnsupportedError(
                f"{node.op_type} (node {node.name}) computes its quantization at run time, or is "
                "an operator that edgepack does not know",
                allowed="QuantizeLinear, DequantizeLinear, QLinear operators",
                next_step=_ADVICE,
            )
        else:
            inputs = [self.resolve(name) if name else "" for name in node.input]
            made = Op(node.op_type, node.name, inputs, node.output[0], _attributes(node))
            made.more = tuple(node.output[1:])
            self._add(made)
            if node.op_type in KEEPING and inputs[0] in self.quants:
                self.quants[node.output[0]] = self.quants[inputs[0]]

    def _add(self, op: Op) -> None:
        self.ops.append(op)
        self._made.add(op.output)

    def _constant(self, node: Any) -> None:
        from onnx import numpy_helper

        for attribute in node.attribute:
            if attribute.name == "value":
                self.constants[node.output[0]] = Constant(numpy_helper.to_array(attribute.t))
                return
        values = _attributes(node)
        array = np.asarray(next(iter(values.values())))
        dtype = np.float32 if array.dtype.kind == "f" else np.int64
        self.constants[node.output[0]] = Constant(array.astype(dtype))

    def _parameters(self, node: Any, scale: int, axis: int = 0) -> tuple[Quant, np.dtype[Any]]:
        """The scale and zero point at two positions, for int8, and the stored type."""
        names = [*node.input, "", ""][scale : scale + 2]
        factors = self.constants.get(self.resolve(names[0]))
        zeros = self.constants.get(self.resolve(names[1])) if names[1] else None
        if factors is None or (names[1] and zeros is None):
            raise UnsupportedError(
                f"the scale or zero point of node {node.name} is computed at run time",
                allowed="constants",
                next_step=_ADVICE,
            )
        # without a zero point the type is uint8 (Operators.md, QuantizeLinear)
        stored = self.constants.get(self.resolve(node.input[0]))
        default = np.uint8 if stored is None or stored.value.dtype.kind == "f" else None
        zero = (
            np.zeros(factors.value.shape, default or stored.value.dtype)  # type: ignore[union-attr]
            if zeros is None
            else zeros.value
        )
        if factors.value.ndim > 1 or zero.dtype.name not in ("int8", "uint8", "int32"):
            raise UnsupportedError(
                f"node {node.name} quantizes to {zero.dtype.name}"
                + (", in blocks" if factors.value.ndim > 1 else ""),
                allowed="int8 or uint8, per tensor or per channel",
                next_step=_ADVICE,
            )
        shifted = zero.astype(np.int64) - (_SHIFT if zero.dtype == np.uint8 else 0)
        scales = factors.value.astype(np.float32).reshape(-1)
        if not np.all(np.isfinite(scales)) or np.any(scales <= 0):
            raise UnsupportedError(f"node {node.name} has a scale that is not positive")
        return Quant(scales, shifted.reshape(-1), axis if scales.size > 1 else 0), zero.dtype

    def _stored(self, name: str, quant: Quant) -> Constant:
        """A constant that is stored in integers."""
        value = self.constants[name].value
        if value.dtype == np.uint8:
            value = (value.astype(np.int16) - _SHIFT).astype(np.int8)
        rank = value.ndim
        axis = quant.axis % rank if rank and quant.scale.size > 1 else 0
        return Constant(value, Quant(quant.scale, quant.zero, axis))

    def _axis(self, node: Any) -> int:
        return int(_attributes(node).get("axis", 1))

    def _quantize(self, node: Any) -> None:
        quant, dtype = self._parameters(node, 1, self._axis(node))
        source, output = self.resolve(node.input[0]), node.output[0]
        if source in self.constants:
            self._quantize_constant(source, output, quant, dtype)
            return
        if quant.scale.size != 1:
            raise UnsupportedError(
                f"node {node.name} quantizes an activation per channel", next_step=_ADVICE
            )
        known = self.quants.get(source)
        alone = self._uses[node.input[0]] == 1 and source == node.input[0]
        if known is None and alone:
            self.quants[source] = quant
        elif known is None or not known.same(quant):
            self._add(Op("Quantize", node.name, [source], output))
            self.quants[output] = quant
            return
        self._alias[output] = source

    def _quantize_constant(
        self, source: str, output: str, quant: Quant, dtype: np.dtype[Any]
    ) -> None:
        real = self.constants[source].real
        shape = [1] * real.ndim
        if quant.scale.size > 1:
            shape[quant.axis] = -1
        limits = np.iinfo(np.int8)
        # half to even, as QuantizeLinear rounds (Operators.md)
        steps = np.rint(real / quant.scale.reshape(shape)) + quant.zero.reshape(shape)
        stored = np.clip(steps, limits.min, limits.max).astype(np.int8)
        axis = quant.axis % real.ndim if real.ndim else 0
        self.constants[output] = Constant(stored, Quant(quant.scale, quant.zero, axis))

    def _dequantize(self, node: Any) -> None:
        quant, _ = self._parameters(node, 1, self._axis(node))
        source = self.resolve(node.input[0])
        if source in self.constants:
            found = self.constants[source]
            stored = found if found.quant is not None else self._stored(source, quant)
            self.constants[node.output[0]] = stored
            return
        if quant.scale.size != 1:
            raise UnsupportedError(
                f"node {node.name} dequantizes an activation per channel", next_step=_ADVICE
            )
        known = self.quants.setdefault(source, quant)
        if not known.same(quant):
            raise UnsupportedError(
                f"node {node.name} reads stored values with another scale than they were "
                "written with"
            )
        self._alias[node.output[0]] = source

    def _qlinear(self, node: Any) -> None:
        kind, values, out, bias = _QLINEAR[node.op_type]
        inputs = [self._operand(node, at) for at in values]
        attributes = _attributes(node)
        if bias is not None and len(node.input) > bias and node.input[bias]:
            inputs.append(self._bias(node, inputs, node.input[bias]))
        quant, _ = self._parameters(node, out)
        output = node.output[0]
        self._add(Op(kind, node.name, inputs, output, attributes))
        self.quants[output] = quant

    def _bias(self, node: Any, inputs: list[str], name: str) -> str:
        weights, source = self.constants.get(inputs[1]), self.quants.get(inputs[0])
        if weights is None or weights.quant is None or source is None:
            raise UnsupportedError(f"the weights of {node.name} are computed at run time")
        made = f"{name}/bias/{node.name}"
        scale = (weights.quant.scale * source.scale[0]).astype(np.float32)
        zero = np.zeros(scale.size, np.int64)
        self.constants[made] = Constant(self.constants[name].value, Quant(scale, zero, 0))
        return made

    def _operand(self, node: Any, at: int) -> str:
        """The value at a position, whose quantization stands in the two behind it."""
        name = self.resolve(node.input[at])
        # per channel: the last axis of a matrix, the first of a filter
        axis = 0 if node.op_type == "QLinearConv" else -1
        quant, _ = self._parameters(node, at + 1, axis)
        if name in self.constants:
            made = f"{name}/{node.name}/{at}"
            self.constants[made] = self._stored(name, quant)
            return made
        self.quants.setdefault(name, quant)
        return name

    def _concat(self, node: Any) -> None:
        inputs = [self._operand(node, at) for at in range(2, len(node.input), 3)]
        quant, _ = self._parameters(node, 0)
        self._add(Op("Concat", node.name, inputs, node.output[0], _attributes(node)))
        self.quants[node.output[0]] = quant

    def _fuse(self) -> None:
        """Activations behind an operator whose own result is not quantized between."""
        makers = {op.output: op for op in self.ops}
        kept = []
        for op in self.ops:
            maker = makers.get(op.inputs[0]) if op.inputs else None
            activation = self._activation(op)
            fits = maker is not None and maker.kind in _FUSING and maker.activation == "NONE"
            alone = bool(op.inputs) and self._uses[op.inputs[0]] == 1
            if activation and maker and fits and alone and op.inputs[0] not in self.quants:
                maker.activation, maker.output = activation, op.output
                makers[op.output] = maker
            else:
                kept.append(op)
        self.ops = kept

    def _activation(self, op: Op) -> str | None:
        if op.kind == "Relu":
            return "RELU"
        if op.kind != "Clip":
            return None
        bounds = clip_bounds(op, self.constants)
        return {(0.0, 6.0): "RELU6", (0.0, np.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}.get(bounds)


def clip_bounds(op: Op, constants: dict[str, Constant]) -> tuple[float, float]:
    """The bounds of a Clip, which are inputs since opset 11 and attributes before.

    Raises:
        UnsupportedError: they are computed at run time.
    """
    found = []
    for position, key, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        name = op.inputs[position] if len(op.inputs) > position else ""
        if name and name not in constants:
            raise UnsupportedError(f"a bound of {op} is computed at run time")
        value = constants[name].real if name else op.attributes.get(key, default)
        found.append(float(np.asarray(value).reshape(-1)[0]))
    return found[0], found[1]


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if attribute.name not in ("value",)
    }
