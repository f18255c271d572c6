"""What runs with PyTorch in the child process: load a program, write it as ONNX, describe it."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import ConfigError, ConversionError, ModelError, UnsupportedError
from edgepack.models.entry_child import call_entry
from edgepack.models.onnx_child import describe, read_onnx
from edgepack.models.progress import Progress

# LSTM and GRU of ONNX as they are now came with 14, ReduceMean with axes as an input with 18.
OPSET = 18


def load_program(path: Path, *, trust_model_code: bool = False) -> Any:
    """The ExportedProgram of a file that `check_pt2` has passed.

    Raises:
        ModelError: PyTorch cannot read it.
    """
    import torch

    try:
        with contextlib.nullcontext() if trust_model_code else _no_pickles(torch):
            return torch.export.load(str(path))
    # PyTorch raises whatever its deserializer runs into
    except Exception as error:
        traceback.print_exc()
        raise ModelError(
            f"{path.name} cannot be read by PyTorch {torch.__version__}: {_first(error)}",
            next_step="export it again with this version: torch.export.save(..., 'model.pt2')",
        ) from error


@contextlib.contextmanager
def _no_pickles(torch: Any) -> Iterator[None]:
    """Let torch.load read tensors only, whatever its caller asks for.

    torch.export.load tries again without this restriction when the sample inputs need it.
    """
    original = torch.load

    def restricted(file: Any, *args: Any, **options: Any) -> Any:
        return original(file, *args, **{**options, "weights_only": True})

    torch.load = restricted
    try:
        yield
    finally:
        torch.load = original


def to_onnx(program: Any, target: Path) -> None:
    """Write a program as ONNX.

    Raises:
        UnsupportedError: an operator has no form in ONNX; PyTorch's message names it.
    """
    import torch

    try:
        torch.onnx.export(
            program,
            f=str(target),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    except Exception as error:
        traceback.print_exc()
        raise UnsupportedError(
            f"PyTorch cannot write the model as ONNX: {_first(error)}",
            next_step="see which operators torch.onnx.export supports, and replace the others",
        ) from error


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__


def describe_file(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: describe the model at `path`, by what it becomes as ONNX."""
    import torch

    program = load_program(Path(arguments["path"]))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        to_onnx(program, target)
        found = describe(read_onnx(target), target)
    return {**found, "producer": f"PyTorch {torch.__version__}"}


def make_program(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: call a function that makes a model and save that in the folder `out`.

    Arguments: `file` and `function`, `seed`, `out`. Returns the `name` of what was saved.
    """
    made = call_entry(arguments, progress, {})
    out = Path(arguments["out"])
    if type(made).__module__.split(".")[0] == "keras":
        from edgepack.models import keras_child

        keras_child.save_keras(made, out / "model.keras")
        return {"name": "model.keras"}
    if "torch" not in sys.modules:
        raise not_a_model(made, arguments)
    save_program(made, out / "model.pt2", arguments)
    return {"name": "model.pt2"}


def not_a_model(made: Any, arguments: dict[str, Any]) -> ConfigError:
    """The error of a function that returned something else than a model."""
    return ConfigError(
        f"{arguments['function']} returned a {type(made).__name__}",
        allowed="a torch.export.ExportedProgram, a tuple (torch.nn.Module, its inputs), or a "
        "keras.Model",
    )


def save_program(made: Any, target: Path, arguments: dict[str, Any]) -> None:
    """Save what a function returned as a `.pt2` file.

    Raises:
        ConfigError: it is no program.
        ConversionError: torch.export cannot follow the module.
    """
    import torch

    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module):
        module, inputs = made
        try:
            made = torch.export.export(module.eval(), tuple(inputs))
        except Exception as error:
            traceback.print_exc()
            raise ConversionError(f"torch.export.export failed: {_first(error)}") from error
    if not isinstance(made, torch.export.ExportedProgram):
        raise not_a_model(made, arguments)
    torch.export.save(made, str(target))
