"""`.tflite` files, in the child process: rewritten and checked, without TensorFlow."""

from __future__ import annotations

from edgepack.convert.base import Request, Stages
from edgepack.convert.flatbuffer import read_model
from edgepack.convert.parity import LiteRt
from edgepack.convert.shapes import check_batch, check_names, check_size, fixed_shape
from edgepack.models.handle import TensorSpec
from edgepack.models.tflite_file import load_tflite
from edgepack.types import Array


class TfliteSource:
    """A `base.Source` whose source framework is LiteRT."""

    def __init__(self, data: bytes, request: Request) -> None:
        handle = load_tflite(request.path)
        self.description = handle.as_dict()
        self.warnings: list[str] = []
        model = read_model(data, str(request.path))
        self.nodes: int | None = sum(len(graph.operators or []) for graph in model.subgraphs)
        for graph in model.subgraphs:
            for tensor in graph.tensors or []:
                shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
                if shape and 0 not in shape:
                    check_size("a tensor", tuple(max(size, 1) for size in shape))
        check_names(request.input_shapes_by_name, [spec.name for spec in handle.inputs])
        self.inputs = tuple(self._fixed(spec, request, handle.inputs) for spec in handle.inputs)
        self._data = data

    def _fixed(
        self, spec: TensorSpec, request: Request, inputs: tuple[TensorSpec, ...]
    ) -> TensorSpec:
        asked = request.shape_for(spec.name, len(inputs))
        shape = fixed_shape(spec.name, spec.shape, asked)
        warning = check_batch(spec.name, shape)
        self.warnings += [warning] if warning else []
        return TensorSpec(spec.name, shape, spec.dtype, spec.scale, spec.zero_point, spec.layout)

    def to_tflite(self) -> bytes:
        """The file itself."""
        return self._data

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...] | None:
        """LiteRT's outputs of the file as it was."""
        return LiteRt(self._data)(inputs)


def open_source(request: Request, stages: Stages) -> TfliteSource:
    """Read a file."""
    with stages("load", f"reading {request.path.name}"):
        return TfliteSource(request.path.read_bytes(), request)
