"""What runs in the child process for `entry`: import the user's file and call its function."""

from __future__ import annotations

import importlib.util
import inspect
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import ConfigError, EdgepackError, MissingToolError
from edgepack.models.dataset import dataset_from, read_dataset, write_dataset
from edgepack.models.progress import Progress

# Packages whose name on the index differs from the name that is imported.
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python"}


def make_data(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: call a function that makes data. Arguments: `file`, `function`, `seed`, `out`."""
    random.seed(arguments["seed"])
    np.random.seed(arguments["seed"])
    value = call_entry(arguments, progress, {})
    dataset = dataset_from(value, f"{Path(arguments['file']).name}:{arguments['function']}")
    write_dataset(Path(arguments["out"]), dataset)
    return {"train": len(dataset.train), "test": len(dataset.test), "split": dataset.split}


def make_model(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: call a function that makes a model. Arguments as for `make_data`, and `data`."""
    from edgepack.models import keras_child

    progress(_stage(arguments), None, "starting TensorFlow")
    import keras

    keras_child.set_seed(arguments["seed"])
    offered: dict[str, Any] = {}
    if arguments["data"] is not None:
        offered["data"] = read_dataset(Path(arguments["data"]))
    model = call_entry(arguments, progress, offered)
    if not isinstance(model, keras.Model):
        if "torch" in sys.modules:
            from edgepack.models import torch_child

            torch_child.save_program(model, Path(arguments["out"]).with_suffix(".pt2"), arguments)
            return {"torch": True}
        raise ConfigError(
            f"{_stage(arguments)} returned a {type(model).__name__}",
            allowed="a keras.Model, or of PyTorch an ExportedProgram or (module, its inputs)",
        )
    if not model.built or not model.inputs:
        raise ConfigError(
            f"{_stage(arguments)} returned a model without defined inputs",
            allowed="a functional or Sequential keras.Model that starts with keras.Input(...)",
        )
    keras_child.save_keras(model, Path(arguments["out"]))
    return keras_child.describe(model)


def measure(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: call a function that judges outputs. Arguments: `file`, `function`, `seed`, `data`."""
    with np.load(arguments["data"], allow_pickle=False) as arrays:
        labels = arrays["labels"] if "labels" in arrays.files else None
        offered = {"outputs": arrays["outputs"], "labels": labels}
    value = call_entry(arguments, progress, offered)
    try:
        return {"value": float(value)}
    except (TypeError, ValueError):
        raise ConfigError(
            f"{_stage(arguments)} returned a {type(value).__name__}", allowed="one number"
        ) from None


def _stage(arguments: dict[str, Any]) -> str:
    return f"{Path(arguments['file']).stem}:{arguments['function']}"


def call_entry(arguments: dict[str, Any], progress: Progress, offered: dict[str, Any]) -> Any:
    """Call the function `function` of `file` with those of the offered arguments that it takes.

    Raises:
        ConfigError: it does not exist, takes an unknown argument, or raised.
        MissingToolError: it imports a package that is not installed.
    """
    stage = _stage(arguments)

    def report(fraction: float | None, message: str) -> None:
        progress(stage, fraction, message)

    offered = {**offered, "progress": report, "seed": arguments["seed"]}
    path = Path(arguments["file"])
    try:
        function = getattr(_import(path), arguments["function"], None)
        if not callable(function):
            raise ConfigError(f"{path.name} has no function {arguments['function']!r}")
        report(None, f"running {path.name}")
        return function(**_wanted(function, offered, stage))
    except EdgepackError:
        raise
    except ModuleNotFoundError as error:
        name = (error.name or "").split(".")[0]
        raise MissingToolError(
            f"{path.name} needs the Python package {name}, which is not installed",
            next_step=f"pip install {_DISTRIBUTIONS.get(name, name)}",
        ) from error
    # The user's code may raise anything; it becomes one error that names the line in that file.
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"{stage} raised {type(error).__name__}: {first[:300]}{_line(error, path)}"
        ) from error


def _import(path: Path) -> Any:
    """Import a file by its path; modules beside it can be imported by it."""
    sys.path.insert(0, str(path.parent))
    name = f"edgepack_entry_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _wanted(function: Callable[..., Any], offered: dict[str, Any], stage: str) -> dict[str, Any]:
    """The offered arguments that a function's signature names."""
    wanted = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in offered:
            wanted[name] = offered[name]
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            raise ConfigError(
                f"{stage} has an argument {name!r} that edgepack cannot give",
                allowed=", ".join(sorted(offered)) + ", or arguments with a default",
            )
    return wanted


def _line(error: BaseException, path: Path) -> str:
    """The last line of the user's file on the way to the error, as ` (train.py, line 12)`."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]
    return f" ({path.name}, line {lines[-1]})" if lines else ""
