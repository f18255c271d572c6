"""The `.tflite` under construction: tensors, their two layouts, operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.qdq.graph import Constant, Op, Quant, QuantGraph
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import UnsupportedError
from edgepack.types import Array, Shape

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
# The lowest version whose kernels take int8 (tensorflow.org/lite/guide/ops_version).
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1}
_INT8_VERSION = 2


class Writer:
    """Writes one graph.

    A value is at hand in ONNX's order of axes, with its channels last (rank 4 only), or both.
    """

    def __init__(self, graph: QuantGraph) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.source = graph
        self.model = schema.ModelT()
        self.model.version = 3  # of the file format
        self.model.description = b"edgepack"
        self.graph = schema.SubGraphT()
        self.graph.name = b"main"
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs, self.model.operatorCodes = [self.graph], []
        self.model.buffers = [schema.BufferT()]
        self.editor = Editor(self.model)
        self.notes: list[str] = []  # what the user should know
        self.shapes: dict[str, Shape] = dict(graph.shapes)
        # (value, channels last) -> tensor
        self._held: dict[tuple[str, bool], int] = {}

    def tensor(
        self,
        name: str,
        shape: Shape,
        quant: Quant | None,
        value: Array | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> int:
        """A new tensor: int8 with `quant`, else of the type given, float32 if none is.

        A constant has its own type.
        """
        schema = self.schema
        raw = schema.TensorT()
        raw.name, raw.shape, raw.hasRank = name.encode(), np.array(shape, np.int32), True
        if quant is not None or dtype is None:
            dtype = np.dtype(np.int8 if quant is not None else np.float32)
        raw.buffer = 0  # by convention the empty one (schema.fbs, Model.buffers)
        if value is not None:
            dtype = value.dtype
            raw.buffer = self.editor.add_buffer(value)
        raw.type = getattr(schema.TensorType, dtype.name.upper())
        if quant is not None:
            raw.quantization = schema.QuantizationParametersT()
            raw.quantization.scale = quant.scale.astype(np.float32)
            raw.quantization.zeroPoint = quant.zero.astype(np.int64)
            raw.quantization.quantizedDimension = quant.axis
        self.graph.tensors.append(raw)
        return len(self.graph.tensors) - 1

    def integers(self, values: Any, name: str) -> int:
        """A constant vector (or table) of int32, such as a shape."""
        value = np.asarray(values, np.int32)
        return self.tensor(name, value.shape, None, value)

    def operator(
        self, kind: str, inputs: list[int], outputs: list[int], options: Any = None
    ) -> None:
        """Add an operator, in the version that its tensor types need."""
        made = self.editor.operator(kind, inputs, outputs, options)
        is_int8 = self.graph.tensors[inputs[0]].type == self.schema.TensorType.INT8
        code = self.model.operatorCodes[made.opcodeIndex]
        if is_int8 or kind == "QUANTIZE":
            code.version = max(code.version, _VERSIONS.get(kind, _INT8_VERSION))
        self.graph.operators.append(made)

    def quant(self, name: str) -> Quant | None:
        """How a value is quantized."""
        constant = self.source.constants.get(name)
        return constant.quant if constant is not None else self.source.quants.get(name)

    def shape(self, name: str) -> Shape:
        """A value's shape in ONNX's order.

        Raises:
            UnsupportedError: it is not known.
        """
        if name in self.source.constants:
            return tuple(self.source.constants[name].value.shape)
        if name not in self.shapes:
            raise UnsupportedError(f"the shape of {name} could not be inferred")
        return self.shapes[name]

    def hold(self, name: str, tensor: int, *, last: bool = False) -> None:
        """Say which tensor is a value."""
        self._held[name, last] = tensor

    def has(self, name: str, *, last: bool) -> bool:
        """Whether a value is at hand in a layout."""
        return (name, last) in self._held

    def prefers_last(self, *names: str) -> bool:
        """Whether all that is computed of these is at hand with the channels last."""
        computed = [name for name in names if name not in self.source.constants]
        return bool(computed) and all(self.has(name, last=True) for name in computed)

    def new(self, op: Op, quant: Quant | None, *, last: bool = False) -> int:
        """The tensor for an operator's result."""
        return self.named(op.output, quant, last=last)

    def named(self, name: str, quant: Quant | None, *, last: bool = False) -> int:
        """The tensor for a value that an operator writes."""
        shape = self.shape(name)
        if last:
            shape = tuple(shape[axis] for axis in TO_LAST)
        tensor = self.tensor(name, shape, quant, dtype=self.source.types.get(name))
        self.hold(name, tensor, last=last)
        return tensor

    def get(self, name: str, *, last: bool = False) -> int:
        """The tensor of a value in a layout; a TRANSPOSE makes it where it is not at hand."""
        found = self._held.get((name, last))
        if found is not None:
            return found
        constant = self.source.constants.get(name)
        if constant is not None:
            made = self._constant(name, constant, last)
        else:
            other = self._held.get((name, not last))
            if other is None:
                raise UnsupportedError(f"{name} is read before it is computed")
            made = self.moved(name, other, TO_LAST if last else TO_FIRST)
        self._held[name, last] = made
        return made

    def moved(self, name: str, tensor: int, order: tuple[int, ...]) -> int:
        """A tensor with its axes in another order; a RESHAPE where no byte moves."""
        source = tuple(int(size) for size in self.graph.tensors[tensor].shape)
        shape = tuple(source[axis] for axis in order)
        kept = [axis for axis in order if source[axis] != 1]
        made = self.tensor(
            f"{name}/moved", shape, self.quant(name), dtype=self.source.types.get(name)
        )
        if kept == sorted(kept):
            self.reshaped(tensor, made, shape)
        else:
            vector = self.integers(order, f"{name}/order")
            self.operator("TRANSPOSE", [tensor, vector], [made], self.schema.TransposeOptionsT())
        return made

    def reshaped(self, source: int, target: int, shape: Shape) -> None:
        """Add a RESHAPE."""
        options = self.schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        vector = self.integers(shape, "shape")
        self.operator("RESHAPE", [source, vector], [target], options)

    def _constant(self, name: str, constant: Constant, last: bool) -> int:
        value, quant = constant.value, constant.quant
        if last and value.ndim:  # broadcast along the axes that it lacks
            value = value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(TO_LAST)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        if quant is not None and quant.scale.size > 1:
            raise UnsupportedError(f"the constant {name} is quantized per channel and no weight")
        return self.tensor(name, value.shape, quant, value)

    def as_float(self, name: str) -> None:
        """Let a value be a float from here on: what follows is not quantized."""
        constant = self.source.constants.get(name)
        if constant is not None:
            self.source.constants[f"{name}/float"] = Constant(constant.real)
            return
        for last in (False, True):
            tensor = self._held.get((name, last))
            if tensor is None or (f"{name}/float", last) in self._held:
                continue
            shape = tuple(int(size) for size in self.graph.tensors[tensor].shape)
            made = self.tensor(f"{name}/float", shape, None)
            self.operator("DEQUANTIZE", [tensor], [made], self.schema.DequantizeOptionsT())
            self._held[f"{name}/float", last] = made
        self.shapes[f"{name}/float"] = self.shape(name)
