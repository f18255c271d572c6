"""What runs with Keras in the child process: load, save and describe a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.errors import ModelError
from edgepack.models.keras_archive import normalise
from edgepack.models.progress import Progress


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and make TensorFlow's ops deterministic."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def load_keras(path: Path, *, trust_model_code: bool = False) -> Any:
    """Load a `.keras` file that `check_keras_archive` has passed, or a `.h5` file of Keras 2 or 3.

    Args:
        path: the file.
        trust_model_code: run the code that it may hold; otherwise none is run.

    Raises:
        ModelError: Keras cannot rebuild it.
        UnsupportedError: a `.h5` file holds code.
    """
    import keras

    if path.suffix.lower() != ".keras":
        from edgepack.models.h5_child import check_content, legacy_objects

        check_content(path, trust_model_code=trust_model_code)
        custom = legacy_objects()
    else:
        custom = None
    try:
        return keras.saving.load_model(
            path, compile=False, safe_mode=not trust_model_code, custom_objects=custom
        )
    # Keras rebuilds the model from an arbitrary configuration; any exception means that it cannot.
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"Keras {keras.__version__} cannot load {path}: {type(error).__name__}: {first[:300]}",
            next_step="load and save it again with the Keras that made it",
        ) from error


def save_keras(model: Any, path: Path) -> None:
    """Save a model so that equal models give equal files."""
    model.save(path)
    normalise(path)


def describe(model: Any) -> dict[str, Any]:
    """Inputs, outputs, dtypes and parameters of a Keras model, as `handle_from` reads them."""
    import keras

    def spec(tensor: Any, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "shape": [-1 if size is None else int(size) for size in tensor.shape],
            "dtype": str(tensor.dtype).upper(),
            "scale": None,
            "zero_point": None,
            "layout": _layout(model) if len(tensor.shape) == 4 else None,
        }

    weights = list(model.weights)
    # A Sequential model has no names for its outputs; it has one, made by its last layer.
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    return {
        "inputs": [spec(tensor, tensor.name) for tensor in model.inputs],
        "outputs": [spec(tensor, name) for tensor, name in zip(model.outputs, names, strict=True)],
        "dtypes": sorted({str(weight.dtype).upper() for weight in weights} | {"FLOAT32"}),
        "parameters": sum(int(weight.shape.num_elements()) for weight in _counted(weights)),
        "producer": f"Keras {keras.__version__}",
    }


def _layout(model: Any) -> str:
    """The order of an image's axes, as the first layer that has a say in it takes them."""
    for layer in model.layers:
        if getattr(layer, "data_format", None) == "channels_first":
            return "NCHW"
        if getattr(layer, "data_format", None) == "channels_last":
            return "NHWC"
    return "NHWC"


def _counted(weights: list[Any]) -> list[Any]:
    """Without the seeds of random layers, which are state and not weights."""
    return [weight.value for weight in weights if "seed_generator" not in weight.path]


def describe_file(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: describe a `.keras` or `.h5` file. Arguments: `path`."""
    path = Path(arguments["path"])
    progress("load", None, f"loading {path.name}")
    return describe(load_keras(path))
