"""`.tflite` files, in the child process: rewritten and checked, without TensorFlow."""

from __future__ import annotations

from edgepack.convert.base import Request, Stages
from edgepack.convert.flatbuffer import read_model
from edgepack.convert.fold import fold_shapes, has_open_shapes
from edgepack.convert.parity import LiteRt
from edgepack.convert.shapes import check_batch, check_names, check_size, fixed_shape
from edgepack.convert.uint8 import is_uint8, shifted, to_int8
from edgepack.models.handle import TensorSpec
from edgepack.models.tflite_file import load_tflite
from edgepack.types import Array, DType


class TfliteSource:
    """A `base.Source` whose source framework is LiteRT."""

    def __init__(self, data: bytes, request: Request) -> None:
        handle = load_tflite(request.path)
        self.description = handle.as_dict()
        self.warnings: list[str] = []
        self._data = data
        self._runner: LiteRt | None = None
        model = read_model(data, str(request.path))
        self.nodes: int | None = sum(len(graph.operators or []) for graph in model.subgraphs)
        for graph in model.subgraphs:
            for tensor in graph.tensors or []:
                shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
                if shape and 0 not in shape:
                    check_size("a tensor", tuple(max(size, 1) for size in shape))
        check_names(request.input_shapes_by_name, [spec.name for spec in handle.inputs])
        self.inputs = tuple(self._fixed(spec, request, handle.inputs) for spec in handle.inputs)
        self._open = has_open_shapes(model) or self._shapes() != [s.shape for s in handle.inputs]
        self._is_uint8 = is_uint8(model)
        if self._is_uint8:
            self.inputs = tuple(_signed(spec) for spec in self.inputs)

    def _shapes(self) -> list[tuple[int, ...]]:
        return [spec.shape for spec in self.inputs]

    def _fixed(
        self, spec: TensorSpec, request: Request, inputs: tuple[TensorSpec, ...]
    ) -> TensorSpec:
        asked = request.shape_for(spec.name, len(inputs))
        shape = fixed_shape(spec.name, spec.shape, asked)
        warning = check_batch(spec.name, shape)
        self.warnings += [warning] if warning else []
        return TensorSpec(spec.name, shape, spec.dtype, spec.scale, spec.zero_point, spec.layout)

    def to_tflite(self) -> bytes:
        """The file itself, at fixed shapes and with int8 in the place of uint8."""
        data = fold_shapes(self._data, self._shapes()) if self._open else self._data
        if not self._is_uint8:
            return data
        made, warnings = to_int8(data)
        self.warnings += warnings
        return made

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...] | None:
        """LiteRT's outputs of the file as it was; uint8 values as the int8 ones of the result."""
        if self._runner is None:
            self._runner = LiteRt(self._data, self._shapes() if self._open else ())
        if not self._is_uint8:
            return self._runner(inputs)
        stored = zip(inputs, self.description["inputs"], strict=True)
        return tuple(
            shifted(array) if array.dtype == "uint8" else array
            for array in self._runner(
                tuple(shifted(a) if s["dtype"] == "UINT8" else a for a, s in stored)
            )
        )


def _signed(spec: TensorSpec) -> TensorSpec:
    """The int8 tensor that takes the place of a quantized uint8 one."""
    if spec.dtype is not DType.UINT8 or spec.zero_point is None:
        return spec
    return TensorSpec(
        spec.name, spec.shape, DType.INT8, spec.scale, spec.zero_point - 128, spec.layout
    )


def open_source(request: Request, stages: Stages) -> TfliteSource:
    """Read a file.

    Raises:
        ModelError: it is damaged.
        UnsupportedError: an open shape, or a tensor that no device could hold.
        UsageError: a shape that the model cannot take.
    """
    with stages("load", f"reading {request.path.name}"):
        return TfliteSource(request.path.read_bytes(), request)
