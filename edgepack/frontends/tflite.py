"""Read a .tflite file into the IR, checking everything that the flatbuffer library does not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import ModelError, UnsupportedError
from edgepack.frontends.list_update import fuse_list_updates
from edgepack.ir import Attributes, Graph, Module, Node, Quantization, Tensor
from edgepack.ir.verify import MAX_TENSOR_BYTES, verify
from edgepack.ops.advice import UnknownOp
from edgepack.ops.table import OPS
from edgepack.types import Array, DType

_IDENTIFIER = b"TFL3"  # flatbuffer file identifier of TFLite's schema 3
_MAX_FILE_BYTES = 1 << 30


def load_tflite(source: Path | bytes, *, name: str | None = None) -> Module:
    """Parse and verify a model.

    Args:
        source: the file's path or its bytes.
        name: what messages and generated names call the model; the file's stem by default.

    Raises:
        ModelError: missing, truncated, corrupt, or inconsistent.
        UnsupportedError: features that no runtime of ours can hold (sparse or string tensors).
    """
    if isinstance(source, Path):
        data, label = _read(source), str(source)
        name = name or source.stem
    else:
        data, label = source, name or "model"
    module = _Reader(_unpack(data, label), label).module(name or "model")
    verify(module)
    return module


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelError(f"{path} is a directory, not a .tflite file")
        if size > _MAX_FILE_BYTES:
            raise ModelError(f"{path} has {size} bytes; the limit is {_MAX_FILE_BYTES}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist", next_step=f"ls {path.parent}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _unpack(data: bytes, label: str) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    if len(data) < 8 or data[4:8] != _IDENTIFIER:
        raise ModelError(
            f"{label} is not a TensorFlow Lite model "
            f"({len(data)} bytes, identifier {data[4:8]!r}, expected {_IDENTIFIER!r})",
            allowed=".tflite files; `edgepack convert` makes them of other formats",
        )
    try:
        return schema.ModelT.InitFromPackedBuf(data, 0)
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
        MemoryError,
        RecursionError,
        UnicodeDecodeError,
        SystemError,
    ) as error:
        raise ModelError(
            f"{label} is truncated or corrupt: its flatbuffer does not parse "
            f"({type(error).__name__}: {error})",
            next_step="copy or convert the model again",
        ) from error


class _Reader:
    """Turns the flatbuffer objects of one file into a Module."""

    def __init__(self, model: Any, label: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model, self.label = model, label
        self.dynamic: dict[str, dict[int, tuple[int, ...]]] = {}  # per subgraph, by tensor
        self.types = _enum_names(schema.TensorType)
        self.ops = _enum_names(schema.BuiltinOperator)

    def module(self, name: str) -> Module:
        subgraphs = self.model.subgraphs or []
        if not subgraphs:
            raise self._bad("it has no subgraph")
        return Module(name, tuple(self._graph(i, g) for i, g in enumerate(subgraphs)))

    def _bad(self, what: str) -> ModelError:
        return ModelError(
            f"{self.label} is corrupt: {what}", next_step="copy or convert the model again"
        )

    def _dynamic(self, which: str, shape: tuple[int, ...]) -> UnsupportedError:
        return UnsupportedError(
            f"{self.label}: {which} has a dynamic shape {list(shape)}",
            allowed="static shapes",
            next_step=f"edgepack convert {self.label} -o fixed.tflite --input-shape 1x16x16x3 "
            "(with the sizes that you need)",
        )

    def _graph(self, number: int, sub: Any) -> Graph:
        where = f"subgraph {number}"
        tensors = {
            i: self._tensor(f"{where}, tensor {i}", i, t) for i, t in enumerate(sub.tensors or [])
        }
        nodes = tuple(
            self._node(f"{where}, op {i}", i, op, len(tensors))
            for i, op in enumerate(sub.operators or [])
        )
        inputs = self._ids(where, sub.inputs, len(tensors), optional=False)
        outputs = self._ids(where, sub.outputs, len(tensors), optional=False)
        if not outputs and number == 0:
            raise self._bad(f"{where} has no output")
        graph_name = _text(sub.name) or ("main" if number == 0 else f"subgraph_{number}")
        computed = {*inputs, *(i for node in nodes for i in node.outputs)}
        for i, tensor in tensors.items():
            if i not in computed and not (tensor.elements or tensor.is_variable):
                # a constant without elements has no bytes to tell it from an activation
                tensors[i] = replace(tensor, data=np.zeros(tensor.shape, tensor.dtype.numpy))
        graph = Graph(graph_name, tensors, nodes, inputs, outputs, called=number > 0)
        graph = graph.evolve()  # drops the tensors that nothing mentions
        dynamic = self.dynamic.get(where, {})
        graph = fuse_list_updates(graph, dynamic)
        for i, signature in dynamic.items():
            if i in graph.tensors:
                raise self._dynamic(f"{where}, tensor {i} {graph.tensors[i].name!r}", signature)
        return graph

    def _ids(self, where: str, raw: Any, count: int, *, optional: bool) -> tuple[int, ...]:
        ids = tuple(int(i) for i in (raw if raw is not None else ()))
        low = -1 if optional else 0
        for i in ids:
            if not low <= i < count:
                raise self._bad(f"{where} names tensor {i} of {count}")
        return ids

    def _tensor(self, where: str, number: int, raw: Any) -> Tensor:
        type_name = self.types.get(raw.type, f"type {raw.type}")
        name = _text(raw.name) or f"tensor_{number}"
        try:
            dtype = DType(type_name)
        except ValueError:
            raise UnsupportedError(
                f"{self.label}: {where} {name!r} has element type {type_name}",
                allowed=", ".join(t.value for t in DType),
            ) from None
        shape = tuple(int(d) for d in (raw.shape if raw.shape is not None else ()))
        if -1 in shape:
            raise self._dynamic(f"{where} {name!r}", shape)
        if any(d < 0 for d in shape):
            raise self._bad(f"{where} {name!r} has shape {list(shape)}")
        signature = tuple(
            int(d) for d in (raw.shapeSignature if raw.shapeSignature is not None else ())
        )
        if any(d == -1 for d in signature[1:]):
            self.dynamic.setdefault(where.partition(",")[0], {})[number] = signature
        if raw.sparsity is not None:
            raise UnsupportedError(
                f"{self.label}: {where} {name!r} is stored sparse",
                next_step="convert the model again without sparse weights",
            )
        quant = self._quantization(where, raw.quantization)
        if quant is not None and quant.per_channel and len(quant.scale) == 1:
            quant = Quantization(quant.scale, quant.zero_point)
        data = self._data(where, name, dtype, shape, raw.buffer)
        return Tensor(number, name, shape, dtype, quant, data, bool(raw.isVariable))

    def _quantization(self, where: str, raw: Any) -> Quantization | None:
        if raw is None or raw.scale is None or len(raw.scale) == 0:
            return None
        scale = tuple(float(s) for s in raw.scale)
        zeros = raw.zeroPoint if raw.zeroPoint is not None else [0] * len(scale)
        zero_point = tuple(int(z) for z in zeros)
        if len(zero_point) == 1 and len(scale) > 1:
            zero_point = zero_point * len(scale)
        if len(zero_point) != len(scale):
            raise self._bad(f"{where} has {len(scale)} scales and {len(zero_point)} zero points")
        return Quantization(scale, zero_point, int(raw.quantizedDimension))

    def _data(
        self, where: str, name: str, dtype: DType, shape: tuple[int, ...], buffer: int
    ) -> Array | None:
        buffers = self.model.buffers or []
        if not 0 <= buffer < len(buffers):
            raise self._bad(f"{where} {name!r} names buffer {buffer} of {len(buffers)}")
        raw = buffers[buffer].data
        if raw is None or len(raw) == 0 or dtype is DType.RESOURCE:
            return None
        stored = np.asarray(raw, np.uint8)
        elements = 1
        for dim in shape:
            elements *= dim
        bits = 4 if dtype is DType.INT4 else 8 * dtype.itemsize
        expected = (elements * bits + 7) // 8
        if expected >= MAX_TENSOR_BYTES or len(stored) != expected:
            raise self._bad(
                f"{where} {name!r} {dtype.value}{list(shape)} needs {expected} bytes, "
                f"its buffer has {len(stored)}"
            )
        if dtype is DType.INT4:
            return _unpack_int4(stored, elements).reshape(shape)
        array = np.frombuffer(stored.tobytes(), dtype.numpy.newbyteorder("<"))
        return array.astype(dtype.numpy).reshape(shape)

    def _node(self, where: str, number: int, raw: Any, tensors: int) -> Node:
        codes = self.model.operatorCodes or []
        if not 0 <= raw.opcodeIndex < len(codes):
            raise self._bad(f"{where} names operator code {raw.opcodeIndex} of {len(codes)}")
        code = codes[raw.opcodeIndex]
        # Files written before schema 3a keep the code in the deprecated 8-bit field.
        name = self.ops.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if name is None:
            raise self._bad(f"{where} has builtin operator code {code.builtinCode}")
        inputs = self._ids(where, raw.inputs, tensors, optional=True)
        outputs = self._ids(where, raw.outputs, tensors, optional=False)
        options = raw.builtinOptions if raw.builtinOptions is not None else raw.builtinOptions2
        return Node(name, inputs, outputs, self._attributes(where, name, options, code), number)

    def _attributes(self, where: str, name: str, options: Any, code: Any) -> Attributes:
        op = OPS.get(name)
        if op is None:
            return UnknownOp(_text(code.customCode))
        try:
            return op.attributes(options)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._bad(
                f"{where} {name} has missing or impossible options "
                f"({type(error).__name__}: {error})"
            ) from error


def _enum_names(enum: type) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if not k.startswith("_")}


def _text(raw: Any) -> str:
    if raw is None:
        return ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _unpack_int4(stored: Sequence[int] | Array, elements: int) -> Array:
    """Two's complement nibbles, low one first, to int8 [elements]."""
    raw = np.asarray(stored, np.uint8)
    nibbles = np.stack([raw & 0xF, raw >> 4], axis=1).reshape(-1)[:elements].astype(np.int8)
    return np.asarray(np.where(nibbles > 7, nibbles - 16, nibbles), np.int8)
