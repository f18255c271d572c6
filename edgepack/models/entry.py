"""Models and data that the user's own Python makes: `train:build_and_train` in edgepack.toml.

The part before the colon is a Python file beside the configuration (`.py` may be left out), the
part after it a function in it. It runs, in a child process, because the user named it. A function
may take any of these arguments, by name:

* `progress(fraction, message)`: to be called now and then;
* `seed`: an integer; Python's, NumPy's and TensorFlow's generators are seeded with it already;
* `data`: the `Dataset` of the `data` entry (a function that makes a model only).

A function that makes a model returns a Keras model or a PyTorch program; one that makes data
returns what `dataset.dataset_from` accepts.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import ConfigError
from edgepack.models.handle import ModelHandle
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_file import handle_from
from edgepack.models.progress import Progress, silent
from edgepack.models.pt2_file import load_pt2
from edgepack.types import Array

MODEL_NAME = "model.keras"
PT2_NAME = "model.pt2"
DATA_NAME = "data.npz"
DEFAULT_SECONDS = 1800.0
_SPEC = re.compile(r"([\w./-]+?)(?:\.py)?:([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Entry:
    """A function of the user's: the absolute path of its file, and its name."""

    file: Path
    function: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.function}"


def is_entry(spec: str) -> bool:
    """Whether a string of edgepack.toml names a function and not a file."""
    return _SPEC.fullmatch(spec) is not None


def parse_entry(spec: str, base: Path) -> Entry:
    """Find the function that `file:function` names.

    Args:
        spec: such as `train:build_and_train` or `tools/train.py:main`.
        base: the directory of edgepack.toml, which the file is relative to.

    Raises:
        ConfigError: the text has another form, or there is no such file.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ConfigError(
            f"{spec!r} names no Python function", allowed="file:function, such as train:load_data"
        )
    file = (base / f"{match.group(1)}.py").resolve()
    if not file.is_file():
        raise ConfigError(f"{spec!r} names {file.name}, which is not in {file.parent}")
    return Entry(file, match.group(2))


def run_data_entry(
    entry: Entry,
    out_dir: Path,
    *,
    seed: int = 0,
    progress: Progress = silent,
    timeout: float = DEFAULT_SECONDS,
) -> Path:
    """Run a function that makes data and keep the result as `out_dir/data.npz`.

    Raises:
        ConfigError: the function does not exist, takes an unknown argument, or raised.
        DataError: it returned something else than data.
        MissingToolError: it imports a package that is not installed.
        ConversionError: its process crashed or ran out of time.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / DATA_NAME
    arguments = {**_describe(entry, seed), "out": str(path.resolve())}
    task = Task(
        "edgepack.models.entry_child:make_data", arguments, f"{entry}", timeout, tensorflow=False
    )
    run_task(task, progress)
    return path


def run_model_entry(
    entry: Entry,
    out_dir: Path,
    *,
    data: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
    timeout: float = DEFAULT_SECONDS,
) -> ModelHandle:
    """Run a function that builds and trains a model and keep it in `out_dir`.

    It becomes `model.keras`, or `model.pt2` where the function returns a PyTorch program.

    Args:
        entry: the function.
        out_dir: a directory, made if need be.
        data: the `.npz` that `run_data_entry` wrote, for a function that takes `data`.
        seed: of every random generator in the child.
        progress: told what the function tells.
        timeout: seconds.

    Raises:
        ConfigError: the function does not exist, takes an unknown argument, raised, or returned
            something else than a Keras model or a PyTorch program.
        MissingToolError: TensorFlow, or a package that the file imports, is not installed.
        ConversionError: its process crashed or ran out of time.
    """
    require_package("tensorflow", extra="tf", why=f"to run {entry}")
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / MODEL_NAME
    arguments = {
        **_describe(entry, seed),
        "out": str(path.resolve()),
        "data": None if data is None else str(data.resolve()),
    }
    task = Task("edgepack.models.entry_child:make_model", arguments, f"{entry}", timeout)
    described = run_task(task, progress)
    if "torch" in described:
        return load_pt2(out_dir / PT2_NAME)
    return handle_from(path, described)


def run_metric_entry(
    entry: Entry, outputs: Array, labels: Array | None, *, timeout: float = DEFAULT_SECONDS
) -> float:
    """Run a function that judges outputs: `def score(outputs, labels): ... return number`.

    Args:
        entry: the function; it may take `outputs` and `labels`.
        outputs: of a model, real values, axis 0 the sample.
        labels: as the data hold them, or None.
        timeout: seconds.

    Raises:
        ConfigError: the function does not exist, takes an unknown argument, raised, or returned
            something else than a number.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DATA_NAME
        arrays = {"outputs": outputs} | ({} if labels is None else {"labels": labels})
        np.savez(path, allow_pickle=False, **arrays)
        arguments = {**_describe(entry, 0), "data": str(path)}
        task = Task(
            "edgepack.models.entry_child:measure", arguments, f"{entry}", timeout, tensorflow=False
        )
        return float(run_task(task, silent)["value"])


def _describe(entry: Entry, seed: int) -> dict[str, Any]:
    return {"file": str(entry.file), "function": entry.function, "seed": seed}
