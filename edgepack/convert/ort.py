"""ONNX Runtime: the source framework of ONNX models."""

from __future__ import annotations

from typing import Any

from edgepack.convert.onnx_prepare import refused
from edgepack.types import Array


class OrtRunner:
    """Runs a ModelProto in ONNX Runtime on the processor, with one thread."""

    def __init__(self, proto: Any, *, optimized: bool = False) -> None:
        """Make it ready.

        Args:
            proto: the model.
            optimized: with the fusions that ONNX Runtime does by default, which change how
                quantized graphs round; otherwise every node is computed as it stands.

        Raises:
            ConversionError: ONNX Runtime refuses the model.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        if not optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise refused(error) from error
        self.inputs = [entry.name for entry in self._session.get_inputs()]

    def __call__(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The outputs for one sample, in the source's layout.

        Raises:
            ConversionError: ONNX Runtime cannot run it.
        """
        try:
            return tuple(self._session.run(None, dict(zip(self.inputs, inputs, strict=True))))
        except Exception as error:
            raise refused(error) from error
