"""Changing the graphs of a `.tflite` in the flatbuffer's object API (`ModelT`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.models.tflite_file import operator_name, text
from edgepack.types import Array, DType


@dataclass
class Site:
    """An operator in its graph: where a rewrite looks and changes."""

    graph: Any
    operator: Any


class Editor:
    """Look-ups and changes in a model. Indices of tensors stay; operators come and go."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def sites(self, *names: str) -> Iterator[Site]:
        """Every operator of these names, in all subgraphs; the graph may change meanwhile."""
        for graph in self.model.subgraphs:
            for operator in list(graph.operators or []):
                if self.name(operator) in names and any(o is operator for o in graph.operators):
                    yield Site(graph, operator)

    def name(self, operator: Any) -> str:
        """TFLite's name of an operator."""
        return operator_name(self.model, operator)

    def inputs(self, site: Site) -> list[int]:
        """The tensors that an operator reads; -1 marks an absent one."""
        return _ids(site.operator.inputs)

    def outputs(self, site: Site) -> list[int]:
        """The tensors that an operator writes."""
        return _ids(site.operator.outputs)

    def producer(self, graph: Any, tensor: int) -> Site | None:
        """The operator that writes a tensor; None for inputs and constants."""
        for operator in graph.operators:
            if tensor in _ids(operator.outputs):
                return Site(graph, operator)
        return None

    def consumers(self, graph: Any, tensor: int) -> list[Site]:
        """The operators that read a tensor, each once."""
        return [Site(graph, o) for o in graph.operators if tensor in _ids(o.inputs)]

    def only_consumer(self, graph: Any, tensor: int) -> Site | None:
        """The one operator that reads a tensor, which is no output of the graph; else None."""
        users = self.consumers(graph, tensor)
        if len(users) != 1 or tensor in _ids(graph.outputs):
            return None
        return users[0]

    def constant(self, graph: Any, tensor: int) -> Array | None:
        """The value of a constant tensor, in its shape; None where it has none."""
        if tensor < 0:
            return None
        raw = graph.tensors[tensor]
        data = self.model.buffers[raw.buffer].data
        dtype = self.dtype(graph, tensor)
        if data is None or len(data) == 0 or dtype is None or dtype is DType.INT4:
            return None
        shape = self.shape(graph, tensor)
        array = np.asarray(data, np.uint8).tobytes()
        if len(array) != int(np.prod(shape)) * dtype.itemsize:
            return None
        return np.frombuffer(array, dtype.numpy).reshape(shape)

    def scalar(self, graph: Any, tensor: int) -> float | None:
        """The value of a constant with one element; None where it is something else."""
        value = self.constant(graph, tensor)
        return None if value is None or value.size != 1 else float(value.reshape(-1)[0])

    def dtype(self, graph: Any, tensor: int) -> DType | None:
        """The element type of a tensor; None for one that edgepack has no name for."""
        from edgepack.models.tflite_file import type_name

        try:
            return DType(type_name(graph.tensors[tensor].type))
        except ValueError:
            return None

    def shape(self, graph: Any, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(_ids(graph.tensors[tensor].shape))

    def is_float(self, graph: Any, tensor: int) -> bool:
        """Whether a tensor is float32."""
        return self.dtype(graph, tensor) is DType.FLOAT32

    def plus(self, graph: Any, tensor: int, value: float) -> int | None:
        """The x of a tensor that is x + value on floats; None for anything else."""
        maker = self.producer(graph, tensor)
        if maker is None or self.name(maker.operator) != "ADD":
            return None
        left, right = self.inputs(maker)
        for x, constant in ((left, right), (right, left)):
            if self.scalar(graph, constant) == value and self.is_float(graph, x):
                return x
        return None

    def set_outputs(self, site: Site, outputs: list[int]) -> None:
        """Let an operator write other tensors."""
        site.operator.outputs = np.array(outputs, np.int32)

    def add_constant(self, graph: Any, value: Array, name: str) -> int:
        """A new constant tensor; its index."""
        from ai_edge_litert import schema_py_generated as schema

        raw = schema.TensorT()
        raw.shape = np.array(value.shape, np.int32)
        raw.type = getattr(schema.TensorType, _type_of(value))
        raw.buffer = self.add_buffer(value)
        raw.name = name.encode()
        raw.hasRank = True
        graph.tensors.append(raw)
        return len(graph.tensors) - 1

    def add_buffer(self, value: Array) -> int:
        """A new buffer that holds an array; its index."""
        from ai_edge_litert import schema_py_generated as schema

        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def add_tensor(self, graph: Any, shape: tuple[int, ...], like: int, name: str) -> int:
        """A new activation of the type and quantization of another; its index."""
        from ai_edge_litert import schema_py_generated as schema

        raw = schema.TensorT()
        raw.shape = np.array(shape, np.int32)
        raw.type = graph.tensors[like].type
        raw.quantization = graph.tensors[like].quantization
        raw.buffer = 0  # by convention the empty one (schema.fbs, Model.buffers)
        raw.name = name.encode()
        raw.hasRank = True
        graph.tensors.append(raw)
        return len(graph.tensors) - 1

    def opcode(self, name: str, version: int = 1) -> int:
        """The index of a built-in operator's code, added if need be."""
        from ai_edge_litert import schema_py_generated as schema

        value = getattr(schema.BuiltinOperator, name)
        for index, code in enumerate(self.model.operatorCodes):
            known = max(code.builtinCode, code.deprecatedBuiltinCode)
            if known == value and code.version >= version:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = value
        code.deprecatedBuiltinCode = min(value, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def operator(
        self, name: str, inputs: list[int], outputs: list[int], options: Any = None
    ) -> Any:
        """A new operator, in no graph yet; `options` is the schema's object such as AddOptionsT."""
        from ai_edge_litert import schema_py_generated as schema

        made = schema.OperatorT()
        made.opcodeIndex = self.opcode(name)
        made.inputs = np.array(inputs, np.int32)
        made.outputs = np.array(outputs, np.int32)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = options
        return made

    def replace(self, site: Site, *operators: Any) -> None:
        """Put operators in the place of one; none removes it."""
        place = next(i for i, o in enumerate(site.graph.operators) if o is site.operator)
        site.graph.operators[place : place + 1] = operators

    def remove(self, site: Site) -> None:
        """Take an operator out of its graph."""
        self.replace(site)

    def sweep(self) -> None:
        """Remove operators whose results nobody reads, and empty the buffers that nobody names."""
        for graph in self.model.subgraphs:
            while self._sweep_once(graph):
                pass
        named = {t.buffer for g in self.model.subgraphs for t in self._used(g)}
        named |= {entry.buffer for entry in self.model.metadata or []}
        for index, buffer in enumerate(self.model.buffers):
            if index not in named:
                buffer.data = None

    def _sweep_once(self, graph: Any) -> bool:
        read = {i for o in graph.operators for i in _ids(o.inputs)} | set(_ids(graph.outputs))
        kept = [
            o
            for o in graph.operators
            if read & set(_ids(o.outputs)) or self.name(o) in _EFFECTS or not _ids(o.outputs)
        ]
        changed = len(kept) < len(graph.operators)
        graph.operators = kept
        return changed

    def _used(self, graph: Any) -> list[Any]:
        used = {i for o in graph.operators for i in (*_ids(o.inputs), *_ids(o.outputs))}
        used |= {*_ids(graph.inputs), *_ids(graph.outputs)}
        return [graph.tensors[i] for i in sorted(used) if i >= 0]

    def tensor_name(self, graph: Any, tensor: int) -> str:
        """The name of a tensor."""
        return text(graph.tensors[tensor].name)


# Operators that do something besides writing their outputs.
_EFFECTS = ("ASSIGN_VARIABLE", "CALL_ONCE", "WHILE", "IF", "CALL")


def _ids(values: Any) -> list[int]:
    """A vector of the flatbuffer, which may be absent, as a list."""
    return [] if values is None else [int(value) for value in values]


def _type_of(value: Array) -> str:
    return {"float32": "FLOAT32", "int32": "INT32", "int8": "INT8", "float16": "FLOAT16"}[
        value.dtype.name
    ]
