"""Source format -> how it is converted.

To convert another format: add it to `models.handle.ModelFormat` and `models.load.FORMATS`, write
its `open_source` in a file of its own here, and add a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.models.handle import ModelFormat


@dataclass(frozen=True)
class Converter:
    """How one format is converted.

    Attributes:
        opener: `module:function` of `open_source(request, stages) -> Source`, run in the child.
        packages: what it imports; each must be installed.
        extra: the extra of edgepack that brings them.
        tensorflow: whether TensorFlow is imported, which can be done ahead.
    """

    opener: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    tensorflow: bool = False


CONVERTERS: dict[ModelFormat, Converter] = {
    ModelFormat.TFLITE: Converter("edgepack.convert.tflite:open_source"),
    ModelFormat.KERAS: Converter(
        "edgepack.convert.keras:open_source", ("tensorflow",), "tf", tensorflow=True
    ),
    ModelFormat.KERAS_H5: Converter(
        "edgepack.convert.keras:open_source", ("tensorflow",), "tf", tensorflow=True
    ),
    ModelFormat.SAVED_MODEL: Converter(
        "edgepack.convert.saved_model:open_source", ("tensorflow",), "tf", tensorflow=True
    ),
    # not the Keras that TensorFlow children import ahead: onnx2tf brings Keras 2
    ModelFormat.ONNX: Converter(
        "edgepack.convert.onnx:open_source", ("onnx", "onnxruntime", "onnx2tf"), "onnx"
    ),
    ModelFormat.PT2: Converter(
        "edgepack.convert.pt2:open_source",
        ("torch", "onnxscript", "onnx", "onnxruntime", "onnx2tf"),
        "torch",
    ),
}
