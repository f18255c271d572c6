"""ONNX models, in the child process: float ones through onnx2tf, quantized by our writer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert import onnx_prepare, onnx_rewrite
from edgepack.convert.base import Request, Source, Stages
from edgepack.convert.onnx_run2tf import to_keras
from edgepack.convert.ort import OrtRunner
from edgepack.convert.parity import random_samples
from edgepack.convert.shapes import check_batch, check_names, fixed_shape
from edgepack.convert.tf_trace import TracedSource, trace
from edgepack.models.handle import TensorSpec
from edgepack.types import Array, Shape

MAX_IR_VERSION = 10
_LAYOUTS = {3: ("NCW", "NWC"), 4: ("NCHW", "NHWC")}


class OnnxSource(TracedSource):
    """A float ONNX graph as a TensorFlow function."""

    # of inputs in the source's layout: ONNX Runtime, or the framework that the graph came from
    runner: Callable[[tuple[Array, ...]], tuple[Array, ...]]
    # per input and output, whether the .tflite has its channels last and the source first
    moved_inputs: list[bool]
    moved_outputs: list[bool]

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The source framework's outputs, in the layout of the `.tflite`."""
        sample = zip(inputs, self.moved_inputs, strict=True)
        outputs = self.runner(tuple(channels_first(a) if moved else a for a, moved in sample))
        pairs = zip(outputs, self.moved_outputs, strict=True)
        return tuple(channels_last(a) if moved else a for a, moved in pairs)


def open_source(request: Request, stages: Stages) -> Source:
    """Load a model, and convert it to a TensorFlow function unless it is quantized.

    Raises:
        ModelError: it is damaged, or names files outside its folder.
        UnsupportedError: an operator or element type that cannot be converted, or an open shape.
        UsageError: a shape that the model cannot take.
        ConversionError: onnx2tf failed; the message names the node.
    """
    from edgepack.models import onnx_child

    with stages("load", f"loading {request.path.name}"):
        proto = onnx_child.read_onnx(request.path)
        description = onnx_child.describe(proto, request.path)
    return open_proto(request, stages, proto, description)


def open_proto(request: Request, stages: Stages, proto: Any, description: dict[str, Any]) -> Source:
    """The same with a model that was parsed and described.

    Raises:
        EdgepackError: as `open_source`.
    """
    with stages("shapes", "inferring shapes"):
        specs, warnings = fixed_inputs(request, description)
        # what later versions of the container added, ONNX Runtime may not read yet
        proto.ir_version = min(proto.ir_version, MAX_IR_VERSION)
        proto = onnx_prepare.lower_opset(proto)
        onnx_prepare.name_nodes(proto)
        onnx_prepare.fix_shapes(proto, specs)
        onnx_prepare.explicit_pads(proto)
    first = onnx_prepare.channels_first_inputs(proto)
    for spec in description["inputs"]:
        if spec["name"] in first:
            spec["layout"] = _LAYOUTS[len(spec["shape"])][0]
    if onnx_prepare.is_quantized(proto):
        from edgepack.convert.qdq.source import open_quantized

        return open_quantized(request, stages, proto, description, specs, warnings)
    with stages("start", "starting TensorFlow and onnx2tf"):
        import onnx2tf  # noqa: F401
    nodes = len(proto.graph.node)
    with stages("onnx2tf", f"converting {nodes} ONNX nodes to TensorFlow"):
        parts = copy.deepcopy(proto)  # ONNX Runtime computes the original for comparison
        onnx_rewrite.split_up(parts, onnx_prepare.known_shapes(parts))
        folded = onnx_prepare.fold(parts, Path(request.folder))
        onnx_prepare.name_nodes(folded)
        onnx_prepare.explicit_states(folded)
        kept = sorted(first) if request.keep_nchw else []
        as_is = [spec.name for spec in specs if spec.name not in first]
        model = to_keras(copy.deepcopy(folded), Path(request.folder), keep_nchw=kept, as_is=as_is)
    moved = [spec.name in first and not request.keep_nchw for spec in specs]
    inputs = tuple(
        converted_input(s, m, s.name in first) for s, m in zip(specs, moved, strict=True)
    )
    with stages("trace", "tracing the network"):
        function = trace(lambda *tensors: _flat(model(list(tensors), training=False)), inputs)
    source = OnnxSource(function, inputs, description, owner=model)
    source.runner = OrtRunner(proto)
    source.nodes = nodes
    source.warnings = warnings
    source.moved_inputs = moved
    with stages("layout", "finding the layout of the outputs"):
        source.moved_outputs = _output_layouts(source)
    source.warnings += layout_notes(description, moved, source.moved_outputs)
    return source


def fixed_inputs(
    request: Request, description: dict[str, Any]
) -> tuple[list[TensorSpec], list[str]]:
    """The inputs at fixed shapes in the source's layout, and the warnings about them."""
    specs = [TensorSpec.from_dict(entry) for entry in description["inputs"]]
    check_names(request.input_shapes_by_name, [spec.name for spec in specs])
    fixed, warnings = [], []
    for spec in specs:
        shape = fixed_shape(spec.name, spec.shape, request.shape_for(spec.name, len(specs)))
        fixed.append(replace(spec, shape=shape))
        warnings.append(check_batch(spec.name, shape))
    return fixed, [text for text in warnings if text]


def converted_input(spec: TensorSpec, moved: bool, is_image: bool) -> TensorSpec:
    """An input as the `.tflite` has it."""
    if not is_image:
        return spec
    first, last = _LAYOUTS[len(spec.shape)]
    if not moved:
        return replace(spec, layout=first)
    return replace(spec, shape=last_shape(spec.shape), layout=last)


def last_shape(shape: Shape) -> Shape:
    """N, C, ... -> N, ..., C."""
    return (shape[0], *shape[2:], shape[1])


def channels_last(array: Array) -> Array:
    """N, C, ... -> N, ..., C."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def channels_first(array: Array) -> Array:
    """N, ..., C -> N, C, ..."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def layout_notes(
    description: dict[str, Any], moved_inputs: list[bool], moved_outputs: list[bool]
) -> list[str]:
    """What to say of inputs and outputs whose axes are in another order now."""
    notes = []
    for side, moved in (("inputs", moved_inputs), ("outputs", moved_outputs)):
        for entry, is_moved in zip(description[side], moved, strict=True):
            if is_moved:
                rank = len(entry["shape"])
                first, last = _LAYOUTS.get(rank, ("channels first", "channels last"))
                hint = "; --keep-nchw keeps it" if side == "inputs" else ""
                notes.append(f"{side[:-1]} {entry['name']} is {last} now, {first} before{hint}")
    return notes


def _output_layouts(source: OnnxSource) -> list[bool]:
    """Whether each output came out channels last, found by running one sample through both."""
    sample = next(random_samples(source.inputs, 1))
    source.moved_outputs = [False] * len(source.description["outputs"])
    wanted = source.run(sample)
    got = TracedSource.run(source, sample)
    moved = []
    for want, have in zip(wanted, got, strict=True):
        is_moved = False
        if want.ndim >= 3 and channels_last(want).shape == have.shape:
            as_is = _distance(want, have) if want.shape == have.shape else np.inf
            is_moved = _distance(channels_last(want), have) < as_is
        moved.append(is_moved)
    return moved


def _distance(a: Array, b: Array) -> float:
    return float(np.nan_to_num(np.abs(a.astype(np.float64) - b.astype(np.float64))).sum())


def _flat(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
