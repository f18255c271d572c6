"""Float ONNX graphs through onnx2tf, in the child process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert import onnx_prepare
from edgepack.convert.base import Request, Stages
from edgepack.convert.onnx import LAYOUTS
from edgepack.convert.onnx_run2tf import to_keras
from edgepack.convert.ort import OrtRunner
from edgepack.convert.outputs import FLOAT_TOLERANCE
from edgepack.convert.parity import difference, random_samples
from edgepack.convert.tf_trace import TracedSource, trace
from edgepack.errors import ConversionError
from edgepack.models.handle import TensorSpec
from edgepack.types import Array, Shape


class OnnxSource(TracedSource):
    """A float ONNX graph as a TensorFlow function."""

    # of inputs in the source's layout: ONNX Runtime, or the framework that the graph came from
    runner: Callable[[tuple[Array, ...]], tuple[Array, ...]]
    # per input and output, whether the .tflite has its channels last and the source first
    moved_inputs: list[bool]
    moved_outputs: list[bool]
    converted: bytes | None = None

    def to_tflite(self) -> bytes:
        """Convert once."""
        if self.converted is None:
            self.converted = super().to_tflite()
        return self.converted

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The source framework's outputs, in the layout of the `.tflite`."""
        sample = zip(inputs, self.moved_inputs, strict=True)
        outputs = self.runner(tuple(channels_first(a) if moved else a for a, moved in sample))
        pairs = zip(outputs, self.moved_outputs, strict=True)
        return tuple(channels_last(a) if moved else a for a, moved in pairs)


def open_float(
    request: Request,
    stages: Stages,
    proto: Any,
    parts: Any,
    description: dict[str, Any],
    specs: list[TensorSpec],
    warnings: list[str],
) -> OnnxSource:
    """Convert a float graph to a `.tflite` at fixed shapes.

    Args:
        request: what is asked for.
        stages: the clock.
        proto: the model, which ONNX Runtime runs for comparison.
        parts: the same in simpler operators, folded, which is what is converted.
        description: of the model as its file has it.
        specs: its inputs at their fixed shapes.
        warnings: what is known to say already.

    Raises:
        UnsupportedError: onnx2tf or TFLite has no such operator.
        ConversionError: onnx2tf failed, or made something else.
    """
    with stages("start", "starting TensorFlow and onnx2tf"):
        import onnx2tf  # noqa: F401
    first = onnx_prepare.channels_first_inputs(proto)
    with stages("onnx2tf", f"converting {len(parts.graph.node)} ONNX nodes to TensorFlow"):
        graph = copy.deepcopy(parts)
        onnx_prepare.explicit_states(graph)
        kept = sorted(first) if request.keep_nchw else []
        as_is = [spec.name for spec in specs if spec.name not in first]
        model = to_keras(graph, Path(request.folder), keep_nchw=kept, as_is=as_is)
    moved = [spec.name in first and not request.keep_nchw for spec in specs]
    inputs = tuple(
        converted_input(s, m, s.name in first) for s, m in zip(specs, moved, strict=True)
    )
    with stages("trace", "tracing the network"):
        function = trace(lambda *tensors: _flat(model(list(tensors), training=False)), inputs)
    source = OnnxSource(function, inputs, description, owner=model)
    source.runner = OrtRunner(proto)
    source.nodes = len(proto.graph.node)
    source.warnings = warnings
    source.moved_inputs = moved
    with stages("layout", "finding the layout of the outputs"):
        source.moved_outputs = _output_layouts(source)
    source.warnings += layout_notes(description, moved, source.moved_outputs)
    with stages("convert", "converting to TFLite"):
        source.to_tflite()
    return source


def converted_input(spec: TensorSpec, moved: bool, is_image: bool) -> TensorSpec:
    """An input as the `.tflite` has it."""
    if not is_image:
        return spec
    first, last = LAYOUTS[len(spec.shape)]
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
                first, last = LAYOUTS.get(rank, ("channels first", "channels last"))
                hint = "; --keep-nchw keeps it" if side == "inputs" else ""
                notes.append(f"{side[:-1]} {entry['name']} is {last} now, {first} before{hint}")
    return notes


def _output_layouts(source: OnnxSource) -> list[bool]:
    """Whether each output came out channels last, found by running one sample through both.

    Raises:
        ConversionError: onnx2tf guessed a layout wrong, so that the two differ.
    """
    sample = next(random_samples(source.inputs, 1))
    source.moved_outputs = [False] * len(source.description["outputs"])
    wanted = source.run(sample)
    got = TracedSource.run(source, sample)
    if len(wanted) != len(got):
        raise ConversionError(f"onnx2tf made {len(got)} outputs of the model's {len(wanted)}")
    moved = []
    for want, have in zip(wanted, got, strict=True):
        as_is = _distance(want, have) if want.shape == have.shape else np.inf
        turned = np.inf
        if want.ndim >= 3 and channels_last(want).shape == have.shape:
            turned = _distance(channels_last(want), have)
        if min(as_is, turned) > FLOAT_TOLERANCE:
            raise ConversionError(
                "onnx2tf's model does not compute what the source does: an output "
                f"{list(have.shape)} for the source's {list(want.shape)}, "
                f"{min(as_is, turned):.2g} of its range away",
                next_step="report this model as a defect of the converter",
            )
        moved.append(turned < as_is)
    return moved


def _distance(want: Array, have: Array) -> float:
    """The largest difference, of the range of what is wanted."""
    return difference(want, have)[1]


def _flat(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
