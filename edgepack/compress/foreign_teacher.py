"""A teacher that is no Keras model: converted to a `.tflite`, and run in LiteRT.

The conversion compares the `.tflite` with what the model's own framework computes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import ConfigError
from edgepack.models.litert import to_stored
from edgepack.models.progress import Progress
from edgepack.types import Array

_THREADS = 2


class ForeignTeacher:
    """The outputs of a model file of any format for batches of samples.

    Args:
        path: the model.
        progress: told of the conversion.

    Raises:
        ConfigError: it has several inputs or outputs.
        EdgepackError: it cannot be converted.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = convert(path, Path(folder), ConvertOptions(), progress)
            handle, data = made.result, made.path.read_bytes()
        assert handle is not None  # a .tflite has one
        if len(handle.inputs) != 1 or len(handle.outputs) != 1:
            raise ConfigError(
                f"the teacher {path.name} has {len(handle.inputs)} inputs and "
                f"{len(handle.outputs)} outputs",
                allowed="one of each, unless it is a Keras model",
            )
        self.shape = handle.outputs[0].shape[1:]
        self._handle, self._interpreter = handle, _open(data)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def __call__(self, x: Array) -> Array:
        """Outputs of real values, float32 [samples, ...], for inputs of real values."""
        inputs, outputs = self._handle.inputs[0], self._handle.outputs[0]
        stored, rows = to_stored(np.asarray(x), inputs), []
        # one by one: a converted model has its batch of 1 in the shapes that it reshapes to
        for start in range(len(stored)):
            self._interpreter.set_tensor(self._input, stored[start : start + 1])
            self._interpreter.invoke()
            rows.append(self._interpreter.get_tensor(self._output))
        made = np.concatenate(rows)
        made = made.astype(np.float32)
        if outputs.scale is not None and outputs.zero_point is not None:
            made = (made - np.float32(outputs.zero_point)) * np.float32(outputs.scale)
        return np.asarray(made, np.float32)


def _open(data: bytes) -> Any:
    # with XNNPACK: a teacher's last bit does not matter, and it is many times faster
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=_THREADS)
    interpreter.allocate_tensors()
    return interpreter
