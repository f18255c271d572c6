"""TensorFlow SavedModels, in the child process."""

from __future__ import annotations

from typing import Any

from edgepack.convert.base import Request, Stages
from edgepack.convert.shapes import check_batch, check_names, fixed_shape
from edgepack.convert.tf_trace import TracedSource, trace
from edgepack.models.handle import TensorSpec


def open_source(request: Request, stages: Stages) -> TracedSource:
    """Load the folder and trace its signature at fixed shapes.

    Raises:
        ModelError: it is damaged or has no signature.
        UnsupportedError: its graph touches files, or an input keeps an open dimension.
        UsageError: a shape that the model cannot take.
    """
    with stages("start", "starting TensorFlow"):
        import tensorflow as tf

        from edgepack.models import saved_model_child
    with stages("load", f"loading {request.path.name}"):
        opened = saved_model_child.open_saved_model(
            request.path, trust_model_code=request.trust_model_code
        )
        description = saved_model_child.describe(opened)
    specs = [TensorSpec.from_dict(entry) for entry in description["inputs"]]
    check_names(request.input_shapes_by_name, [spec.name for spec in specs])
    fixed, warnings = [], []
    for spec in specs:
        shape = fixed_shape(spec.name, spec.shape, request.shape_for(spec.name, len(specs)))
        fixed.append(TensorSpec(spec.name, shape, spec.dtype, layout=spec.layout))
        warnings.append(check_batch(spec.name, shape))
    names = [spec.name for spec in specs]
    outputs = [entry["name"] for entry in description["outputs"]]

    def call(*tensors: Any) -> list[Any]:
        results = opened.function(**dict(zip(names, tensors, strict=True)))
        return [results[name] for name in outputs]

    with stages("trace", "tracing the signature at batch 1"):
        function = trace(call, fixed)
    source = TracedSource(function, fixed, description, owner=opened.module)
    frozen = opened.function.graph
    source.nodes = len(frozen.get_operations())
    source.warnings = [text for text in warnings if text]
    source.description["producer"] = opened.producer or f"TensorFlow {tf.__version__}"
    return source
