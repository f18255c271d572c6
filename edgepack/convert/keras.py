"""Keras models, `.keras` and `.h5`, in the child process."""

from __future__ import annotations

from typing import Any

from edgepack.convert.base import Request, Stages
from edgepack.convert.shapes import check_batch, check_names, fixed_shape
from edgepack.convert.tf_trace import TracedSource, run_converter, trace
from edgepack.models.handle import TensorSpec
from edgepack.models.progress import Progress


def open_source(request: Request, stages: Stages) -> TracedSource:
    """Load a model and trace it at fixed shapes.

    Raises:
        ModelError: Keras cannot rebuild it.
        UnsupportedError: it holds code, or an input keeps an open dimension.
        UsageError: a shape that the model cannot take.
    """
    with stages("start", "starting TensorFlow"):
        from edgepack.models import keras_child
    with stages("load", f"loading {request.path.name}"):
        model = keras_child.load_keras(request.path, trust_model_code=request.trust_model_code)
        description = keras_child.describe(model)
    specs = [TensorSpec.from_dict(entry) for entry in description["inputs"]]
    check_names(request.input_shapes_by_name, [spec.name for spec in specs])
    fixed, warnings = [], []
    for spec in specs:
        shape = fixed_shape(spec.name, spec.shape, request.shape_for(spec.name, len(specs)))
        fixed.append(TensorSpec(spec.name, shape, spec.dtype, layout=spec.layout))
        warnings.append(check_batch(spec.name, shape))
    with stages("trace", "tracing the network at batch 1"):
        function = trace(_caller(model), fixed)
    source = TracedSource(function, fixed, description, owner=model)
    source.nodes = len(model.layers)
    source.warnings = [text for text in warnings if text]
    return source


def _caller(model: Any) -> Any:
    """Calls the model for inference with its inputs in order; outputs as a list."""
    import keras

    # A Sequential model has no such structure; it takes one tensor.
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input

    def call(*tensors: Any) -> list[Any]:
        inputs = keras.tree.pack_sequence_as(structure, list(tensors))
        return list(keras.tree.flatten(model(inputs, training=False)))

    return call


def convert_up_to(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: convert the first layers of a network, to see whether that crashes.

    Arguments: the fields of `Request`, and `layers`: how many, -1 for all. Before it converts it
    reports their number and the last one's name as the message of stage `blame`.
    """
    import keras

    layers = arguments.pop("layers")
    source = open_source(Request(**arguments), Stages())
    model = source.owner
    inner = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    count = len(inner) if layers < 0 else layers
    last = inner[count - 1]
    progress("blame", None, f"{count} {last.name} ({type(last).__name__})")
    piece = keras.Model(model.inputs, last.output) if count < len(inner) else model
    inputs = source.inputs
    traced = TracedSource(trace(_caller(piece), inputs), inputs, source.description, owner=piece)
    run_converter(traced.converter())
    return {}
