"""A quantized ONNX model as a source of conversion: no calibration, every scale is the model's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgepack.convert import onnx_prepare
from edgepack.convert.base import Request, Stages
from edgepack.convert.copies import with_copies
from edgepack.convert.flatbuffer import write_model
from edgepack.convert.ort import OrtRunner
from edgepack.convert.qdq.graph import Quant, QuantGraph, Reader
from edgepack.convert.qdq.ops import emit
from edgepack.convert.qdq.writer import TO_LAST, Writer
from edgepack.convert.signature import with_signature
from edgepack.errors import UnsupportedError
from edgepack.models.handle import TensorSpec
from edgepack.types import Array, DType

_INT8 = np.iinfo(np.int8)
_LAYOUTS = {False: "NCHW", True: "NHWC"}


class QuantSource:
    """A `base.Source` whose source framework is ONNX Runtime."""

    def __init__(
        self,
        proto: Any,
        graph: QuantGraph,
        description: dict[str, Any],
        specs: list[TensorSpec],
        moved: list[bool],
    ) -> None:
        self.description = description
        self.nodes: int | None = len(proto.graph.node)
        self.warnings: list[str] = []
        self._graph, self._moved, self._specs = graph, moved, specs
        self.runner: Callable[[tuple[Array, ...]], tuple[Array, ...]] = OrtRunner(proto)
        self._outputs_last: list[bool] = []
        self._written: bytes | None = None
        self.inputs = tuple(self._input(s, m) for s, m in zip(specs, moved, strict=True))

    def _input(self, spec: TensorSpec, moved: bool) -> TensorSpec:
        quant = self._graph.quants.get(spec.name)
        layout = _LAYOUTS[moved] if spec.layout else None
        shape = tuple(spec.shape[axis] for axis in TO_LAST) if moved else spec.shape
        if quant is None:
            return replace(spec, shape=shape, layout=layout)
        scale, zero = float(quant.scale[0]), int(quant.zero[0])
        return TensorSpec(spec.name, shape, DType.INT8, scale, zero, layout)

    def to_tflite(self) -> bytes:
        """Write the graph operator by operator, once.

        Raises:
            UnsupportedError: one has no int8 form in TFLite; the message names the node.
        """
        if self._written is None:
            self._written = self._write()
        return self._written

    def _write(self) -> bytes:
        w = Writer(self._graph)
        inputs = []
        for spec, moved in zip(self.inputs, self._moved, strict=True):
            tensor = w.tensor(spec.name, spec.shape, self._graph.quants.get(spec.name))
            if spec.dtype not in (DType.INT8, DType.FLOAT32):
                w.graph.tensors[tensor].type = getattr(w.schema.TensorType, spec.dtype.value)
            w.hold(spec.name, tensor, last=moved)
            inputs.append(tensor)
        for op in self._graph.ops:
            emit(w, op)
        outputs = []
        self._outputs_last = [w.has(name, last=True) for name in self._graph.outputs]
        for name, last in zip(self._graph.outputs, self._outputs_last, strict=True):
            outputs.append(w.get(name, last=last))
        w.graph.inputs = np.array(inputs, np.int32)
        w.graph.outputs = np.array(outputs, np.int32)
        names = [[entry["name"] for entry in self.description[k]] for k in ("inputs", "outputs")]
        self.warnings += w.notes
        self._tell(w)
        return with_signature(with_copies(write_model(w.model)), *names)

    def _tell(self, w: Writer) -> None:
        """Notes on what is int8 now, and on axes in another order."""
        for side, quants, moved in (
            ("inputs", [self._graph.quants.get(s.name) for s in self._specs], self._moved),
            ("outputs", [w.quant(name) for name in self._graph.outputs], self._outputs_last),
        ):
            for entry, quant, is_moved in zip(self.description[side], quants, moved, strict=True):
                what = f"{side[:-1]} {entry['name']}"
                if quant is not None and entry["dtype"] == DType.FLOAT32.value:
                    self.warnings.append(
                        f"{what} is int8 now, with the source's scale {quant.scale[0]:.9g} and "
                        f"zero point {quant.zero[0]}"
                    )
                if is_moved:
                    self.warnings.append(f"{what} is NHWC now, NCHW before")
        loose = sum(1 for o in w.graph.operators if w.editor.name(o) == "DEQUANTIZE")
        if loose:
            self.warnings.append(
                f"{loose} DEQUANTIZE operators: the source leaves what follows them in float"
            )

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """ONNX Runtime's outputs of the model as it was, stored as the `.tflite` stores them."""
        fed = []
        for array, spec, entry, moved in zip(
            inputs, self.inputs, self.description["inputs"], self._moved, strict=True
        ):
            quant = self._graph.quants.get(spec.name)
            value = np.moveaxis(array, -1, 1) if moved else array
            fed.append(_unstored(value, quant, DType(entry["dtype"])))
        results = []
        for array, name, last in zip(
            self.runner(tuple(fed)), self._graph.outputs, self._outputs_last, strict=True
        ):
            stored = _stored(array, self._graph.quants.get(name))
            results.append(np.ascontiguousarray(np.moveaxis(stored, 1, -1)) if last else stored)
        return tuple(results)


def _unstored(array: Array, quant: Quant | None, dtype: DType) -> Array:
    """An int8 input of the `.tflite` as the source takes it."""
    if quant is None or dtype is DType.INT8:
        return np.ascontiguousarray(array)
    if dtype is DType.UINT8:
        return (array.astype(np.int16) + 128).astype(np.uint8)
    real: Array = (array.astype(np.float32) - np.float32(quant.zero[0])) * quant.scale[0]
    return real


def _stored(array: Array, quant: Quant | None) -> Array:
    """An output of the source as the `.tflite` stores it."""
    if quant is None or array.dtype == np.int8:
        return array
    if array.dtype == np.uint8:
        return (array.astype(np.int16) - 128).astype(np.int8)
    steps: Array = np.rint(array / quant.scale[0]) + quant.zero[0]
    return steps.clip(_INT8.min, _INT8.max).astype(np.int8)


def open_quantized(
    request: Request,
    stages: Stages,
    proto: Any,
    description: dict[str, Any],
    specs: list[TensorSpec],
    warnings: list[str],
    parts: Any = None,
) -> QuantSource:
    """Open a model that `onnx_prepare.is_quantized` found quantized, at fixed shapes.

    Args:
        request: what is asked for.
        stages: the clock.
        proto: the model, which ONNX Runtime runs for comparison.
        description: of the model as its file has it.
        specs: its inputs at their fixed shapes.
        warnings: what is known to say already.
        parts: the same model in simpler operators, which is what is written; the model by default.

    Raises:
        UnsupportedError: a quantization that TFLite has no form for; names the node.
    """
    first = onnx_prepare.channels_first_inputs(proto)
    for spec in specs:
        if spec.name in first and len(spec.shape) != 4:
            raise UnsupportedError(
                f"input {spec.name} of the quantized model has {len(spec.shape)} axes",
                allowed="images of four: N, C, H, W",
            )
    moved = [spec.name in first and not request.keep_nchw for spec in specs]
    with stages("read", "reading scales and zero points"):
        written = proto if parts is None else parts
        graph = Reader(written).read(onnx_prepare.known_shapes(written))
    source = QuantSource(proto, graph, description, specs, moved)
    source.warnings += warnings
    return source
