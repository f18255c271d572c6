"""TensorFlow functions -> `.tflite`, in the child process: shared by Keras and SavedModel."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgepack.convert.copies import with_copies
from edgepack.convert.explain import explain
from edgepack.convert.signature import with_signature
from edgepack.models.handle import TensorSpec
from edgepack.types import Array


class TracedSource:
    """A `base.Source` that is one concrete TensorFlow function with fixed shapes."""

    def __init__(
        self,
        function: Any,
        inputs: Sequence[TensorSpec],
        description: dict[str, Any],
        *,
        owner: Any,
    ) -> None:
        """Take a function.

        Args:
            function: a ConcreteFunction that takes the inputs in order and returns a list.
            inputs: what it takes.
            description: of the model as its file has it.
            owner: what keeps the variables alive.
        """
        self.function, self.owner = function, owner
        self.frozen: Any = None
        self.inputs = tuple(inputs)
        self.description = description
        self.nodes: int | None = len(function.graph.get_operations())
        self.warnings: list[str] = []

    def to_tflite(self) -> bytes:
        """Convert with TFLiteConverter to float."""
        names = [[entry["name"] for entry in self.description[k]] for k in ("inputs", "outputs")]
        made = run_converter(self.converter(), nodes=self.frozen_nodes)
        return with_signature(with_copies(made), *names)

    def frozen_nodes(self) -> dict[str, list[str]]:
        """The names of the frozen graph's nodes, by operator."""
        found: dict[str, list[str]] = {}
        graph = self.frozen.graph.as_graph_def()
        bodies = [function.node_def for function in graph.library.function]
        for nodes in (graph.node, *bodies):
            for node in nodes:
                found.setdefault(node.op, []).append(node.name)
        return found

    def converter(self) -> Any:
        """A TFLiteConverter of the frozen function.

        Freezing first is what keeps the order of inputs and outputs, and takes less than half the
        time of `from_keras_model`, which writes a SavedModel and reads it again.
        """
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        frozen = convert_variables_to_constants_v2(self.function, lower_control_flow=False)
        self.frozen = frozen
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen])

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """TensorFlow's own outputs."""
        import tensorflow as tf

        return tuple(np.asarray(t) for t in self.function(*(tf.constant(a) for a in inputs)))


def integer_converter(source: TracedSource, rows: Callable[[], Iterator[list[Any]]]) -> Any:
    """A TFLiteConverter to full-integer int8, inputs and outputs included.

    Args:
        source: what to convert.
        rows: gives the calibration samples, each a list of one float32 array per input.
    """
    import tensorflow as tf

    converter = source.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return converter


def run_converter(
    converter: Any,
    *,
    integer: bool = False,
    nodes: Callable[[], dict[str, list[str]]] | None = None,
) -> bytes:
    """Run a TFLiteConverter; `integer` says that integer kernels alone are allowed, `nodes`
    gives the graph's nodes by operator, to name the layer of one that has no kernel.

    Raises:
        UnsupportedError, ConversionError: as `explain` sorts its failures.
    """
    try:
        data: bytes = converter.convert()
    # The converter raises whatever its C++ code does; `explain` sorts it.
    except Exception as error:
        traceback.print_exc()
        raise explain(error, integer=integer, nodes=nodes and nodes()) from error
    return data


def trace(call: Any, inputs: Sequence[TensorSpec]) -> Any:
    """A ConcreteFunction of fixed shapes that returns a list of outputs.

    Args:
        call: takes one tensor per input and returns a list of tensors.
        inputs: names, shapes and dtypes.
    """
    import tensorflow as tf

    specs = [
        tf.TensorSpec(spec.shape, tf.as_dtype(spec.dtype.numpy), name=f"input_{index}")
        for index, spec in enumerate(inputs)
    ]

    def body(*tensors: Any) -> Any:
        # Keeps an output that is an input, or twice the same, a tensor of its own.
        return [tf.identity(tensor, f"output_{i}") for i, tensor in enumerate(call(*tensors))]

    return tf.function(body, autograph=False).get_concrete_function(*specs)
