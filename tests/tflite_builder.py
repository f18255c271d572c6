"""Small `.tflite` models built in memory, for tests that need one op or one graph exactly.

    model = ModelBuilder()
    x = model.input("x", (1, 8, 8, 3), "INT8", scale=0.05, zero_point=-3)
    w = model.const(weights, "INT8", scale=[0.01, 0.02], axis=0)
    b = model.const(bias, "INT32", scale=[0.0005, 0.001], axis=0)
    y = model.op("CONV_2D", [x, w, b], [spec((1, 8, 8, 2), "INT8", 0.1, 4)], {"padding": "SAME",
                 "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU"})[0]
    model.output(y)
    data = model.build()

Tensors are handles (indices within their subgraph); None stands for an optional input that is left
out. Option names are the schema's, in snake_case or camelCase; enums are given by name. Everything
is checked against the schema, so that a misspelt option or type raises ValueError.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgepack.quantize.versions import operator_version

Scale = float | Sequence[float] | npt.NDArray[Any] | None
ZeroPoint = int | Sequence[int] | npt.NDArray[Any]
_BUFFER_ALIGNMENT = 16  # `force_align: 16` of Buffer.data in the TFLite schema

_NUMPY = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "INT4": np.int8, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8,
    "UINT16": np.uint16, "UINT32": np.uint32, "BOOL": np.bool_,
}  # fmt: skip

# Ops whose options table is not called after them; "" says that the op has none.
_OPTIONS_OF = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), "Pool2DOptions"),
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"),
        "ReducerOptions",
    ),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), "MaximumMinimumOptions"),
    "L2_NORMALIZATION": "L2NormOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
    **dict.fromkeys(("RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL"), "RandomOptions"),
}

# Which enum a field of an options table takes.
_ENUM_OF_FIELD = {
    "padding": schema.Padding,
    "fusedActivationFunction": schema.ActivationFunctionType,
    "weightsFormat": schema.FullyConnectedOptionsWeightsFormat,
    "quantizedBiasType": schema.TensorType,
    "inDataType": schema.TensorType,
    "outDataType": schema.TensorType,
    "outputType": schema.TensorType,
    "outType": schema.TensorType,
    "kernelType": schema.LSTMKernelType,
    "mode": schema.MirrorPadMode,
}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to be created: shape, TFLite type name, quantization (None: not quantized)."""

    shape: tuple[int, ...]
    dtype: str = "INT8"
    scale: float | None = None
    zero_point: int = 0
    name: str | None = None


def spec(
    shape: Sequence[int],
    dtype: str = "INT8",
    scale: float | None = None,
    zero_point: int = 0,
    name: str | None = None,
) -> TensorSpec:
    """Shorthand for a TensorSpec, as `op` takes for its outputs."""
    return TensorSpec(tuple(shape), dtype, scale, zero_point, name)


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the schema is generated, untyped
    """A buffer whose data lie 16-byte aligned in the file; the generated Pack does not align."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self.data is not None:
            data = bytes(self.data)
            builder.Prep(_BUFFER_ALIGNMENT, len(data))
            vector = builder.CreateByteVector(data)
        schema.BufferStart(builder)
        if self.data is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class SubgraphBuilder:
    """One subgraph; index 0 is the model itself."""

    def __init__(self, owner: ModelBuilder, name: str, index: int) -> None:
        self.index = index
        self._owner = owner
        self._graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=name)

    def tensor(
        self,
        name: str | None,
        shape: Sequence[int],
        dtype: str = "INT8",
        scale: Scale = None,
        zero_point: ZeroPoint = 0,
        *,
        axis: int = 0,
        is_variable: bool = False,
        buffer: int = 0,
    ) -> int:
        """An activation tensor (`buffer` 0), or a constant that lies in a buffer of the model.

        `is_variable` marks state that lives across invocations (SVDF, LSTM).
        """
        index = len(self._graph.tensors)
        self._graph.tensors.append(
            schema.TensorT(
                shape=[int(d) for d in shape],
                type=_enum_value(schema.TensorType, dtype),
                buffer=buffer,
                name=name if name is not None else f"t{index}",
                quantization=_quantization(scale, zero_point, axis),
                isVariable=is_variable,
                hasRank=True,
            )
        )
        return index

    def input(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "INT8",
        scale: Scale = None,
        zero_point: ZeroPoint = 0,
    ) -> int:
        """A tensor that the caller sets; appended to the subgraph's inputs."""
        index = self.tensor(name, shape, dtype, scale, zero_point)
        self._graph.inputs.append(index)
        return index

    def const(
        self,
        array: npt.ArrayLike,
        dtype: str = "INT8",
        scale: Scale = None,
        zero_point: ZeroPoint = 0,
        axis: int = 0,
        name: str | None = None,
    ) -> int:
        """A constant. INT4 takes values -8..7 and is packed two to a byte, low nibble first."""
        if dtype not in _NUMPY:
            raise ValueError(f"no constant of type {dtype}; allowed: {', '.join(_NUMPY)}")
        given = np.asarray(array)
        values: npt.NDArray[Any] = given.astype(_NUMPY[dtype])
        # floats may be rounded to a narrower float, integers must survive
        rounding = given.dtype.kind == "f" and dtype.startswith("FLOAT")
        if not rounding and not np.array_equal(values.astype(given.dtype), given):
            raise ValueError(f"the constant's values do not fit {dtype}")
        if dtype == "INT4":
            raw = pack_int4(values)
        else:
            raw = np.ascontiguousarray(values).tobytes()
        buffer = self._owner._add_buffer(raw)
        return self.tensor(name, values.shape, dtype, scale, zero_point, axis=axis, buffer=buffer)

    def variable(
        self,
        shape: Sequence[int],
        dtype: str = "INT8",
        scale: Scale = None,
        zero_point: ZeroPoint = 0,
        name: str | None = None,
    ) -> int:
        """A variable tensor: the state input of SVDF and LSTM."""
        return self.tensor(name, shape, dtype, scale, zero_point, is_variable=True)

    def resource(self, shared_name: str, container: str = "") -> int:
        """A resource handle made by VAR_HANDLE, for READ_VARIABLE and ASSIGN_VARIABLE."""
        options = {"shared_name": shared_name, "container": container}
        return self.op("VAR_HANDLE", [], [spec((), "RESOURCE")], options)[0]

    def op(
        self,
        name: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int | TensorSpec],
        options: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        intermediates: Sequence[int] = (),
    ) -> tuple[int, ...]:
        """Append an operator and return the handles of its outputs.

        Args:
            name: a BuiltinOperator name such as CONV_2D.
            inputs: handles; None leaves an optional input out.
            outputs: handles that exist, or specs of tensors to create.
            options: fields of the op's options table; None writes the table with its defaults.
            version: overrides the operator version that the tensor types call for.
            intermediates: handles of intermediate tensors (LSTM).
        """
        made = tuple(
            self.tensor(o.name, o.shape, o.dtype, o.scale, o.zero_point)
            if isinstance(o, TensorSpec)
            else o
            for o in outputs
        )
        options_type, table = _options(name, options or {})
        if version is None:
            version = operator_version(
                name,
                [None if i is None else self._type_name(i) for i in inputs],
                [self._type_name(i) for i in made],
                options or {},
            )
        self._graph.operators.append(
            schema.OperatorT(
                opcodeIndex=self._owner._opcode(name, version),
                inputs=[-1 if i is None else int(i) for i in inputs],
                outputs=list(made),
                builtinOptionsType=options_type,
                builtinOptions=table,
                intermediates=list(intermediates) or None,
            )
        )
        return made

    def output(self, *handles: int) -> None:
        """Append tensors to the subgraph's outputs."""
        self._graph.outputs.extend(handles)

    def _type_name(self, handle: int) -> str:
        return _enum_name(schema.TensorType, self._graph.tensors[handle].type)


class ModelBuilder(SubgraphBuilder):
    """A model; its own methods build the main subgraph, `subgraph` adds others (IF, WHILE)."""

    def __init__(self, name: str = "main") -> None:
        super().__init__(self, name, 0)
        # Buffer 0 is the sentinel that means "no data" and must stay empty.
        self._buffers: list[Any] = [_AlignedBuffer()]
        self._opcodes: list[tuple[str, int]] = []
        self._subgraphs: list[SubgraphBuilder] = [self]

    def subgraph(self, name: str) -> SubgraphBuilder:
        """A further subgraph; pass its `index` to WHILE or IF options."""
        graph = SubgraphBuilder(self, name, len(self._subgraphs))
        self._subgraphs.append(graph)
        return graph

    def build(self) -> bytes:
        """The model file."""
        if not self._graph.outputs:
            raise ValueError("the model has no output; call output(handle)")
        codes = [
            schema.OperatorCodeT(
                deprecatedBuiltinCode=min(_enum_value(schema.BuiltinOperator, name), 127),
                version=version,
                builtinCode=_enum_value(schema.BuiltinOperator, name),
            )
            for name, version in self._opcodes
        ]
        model = schema.ModelT(
            version=3,
            operatorCodes=codes,
            subgraphs=[g._graph for g in self._subgraphs],
            description="edgepack test model",
            buffers=self._buffers,
        )
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add_buffer(self, raw: bytes) -> int:
        self._buffers.append(_AlignedBuffer(data=raw))
        return len(self._buffers) - 1

    def _opcode(self, name: str, version: int) -> int:
        _enum_value(schema.BuiltinOperator, name)
        if (name, version) not in self._opcodes:
            self._opcodes.append((name, version))
        return self._opcodes.index((name, version))


def pack_int4(values: npt.NDArray[np.int8]) -> bytes:
    """Two elements to a byte, the first in the low nibble; an odd last one leaves the high at 0."""
    flat = values.reshape(-1)
    if flat.size and (flat.min() < -8 or flat.max() > 7):
        raise ValueError(f"INT4 holds -8..7, got {flat.min()}..{flat.max()}")
    nibbles = (flat.astype(np.int16) & 0xF).astype(np.uint8)
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    return bytes((nibbles[0::2] | (nibbles[1::2] << 4)).tobytes())


def _quantization(scale: Scale, zero_point: ZeroPoint, axis: int) -> Any:
    if scale is None:
        return None
    scales = [float(np.float32(s)) for s in np.atleast_1d(np.asarray(scale))]
    points = [int(z) for z in np.atleast_1d(np.asarray(zero_point))]
    if len(points) == 1:
        points *= len(scales)
    if len(points) != len(scales):
        raise ValueError(f"{len(scales)} scales but {len(points)} zero points")
    return schema.QuantizationParametersT(
        scale=scales, zeroPoint=points, quantizedDimension=axis if len(scales) > 1 else 0
    )


def _options(op: str, given: Mapping[str, Any]) -> tuple[int, Any]:
    """The options table of an op: (its BuiltinOptions number, the object), or (0, None)."""
    tables = {n.lower(): n for n in vars(schema.BuiltinOptions) if n.endswith("Options")}
    table_name = _OPTIONS_OF.get(op) or tables.get((op.replace("_", "") + "options").lower())
    if table_name is None:
        if given:
            raise ValueError(f"{op} takes no options, got {', '.join(given)}")
        return 0, None
    cls = getattr(schema, table_name + "T")
    fields = set(inspect.signature(cls.__init__).parameters) - {"self"}
    values: dict[str, Any] = {}
    if op in ("ADD", "SUB"):
        values["potScaleInt16"] = False  # what the converter writes for int16; true is a relic
    for key, value in given.items():
        field = _camel(key)
        if field not in fields:
            raise ValueError(
                f"{op} has no option {key}; allowed: {', '.join(sorted(fields)) or 'none'}"
            )
        if isinstance(value, str) and field in _ENUM_OF_FIELD:
            value = _enum_value(_ENUM_OF_FIELD[field], value)
        values[field] = value
    return int(getattr(schema.BuiltinOptions, table_name)), cls(**values)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def _enum_value(enum: Any, name: str) -> int:
    if not name.startswith("_") and hasattr(enum, name):
        return int(getattr(enum, name))
    allowed = [n for n in vars(enum) if not n.startswith("_")]
    raise ValueError(f"{enum.__name__} has no {name}; allowed: {', '.join(allowed)}")


def _enum_name(enum: Any, value: int) -> str:
    names = (n for n, v in vars(enum).items() if v == value and not n.startswith("_"))
    return str(next(names))
