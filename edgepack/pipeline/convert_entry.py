"""Models that a Python function of the user's makes: `edgepack build file.py:function ...`."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from edgepack.cache import Cache, code_digest, tree_digest
from edgepack.convert.base import DEFAULT_SECONDS
from edgepack.models.entry import is_entry, parse_entry
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress, silent

STAGE = "entry"
_MAKERS = ("torch", "keras", "tensorflow")  # packages whose version changes what is made


def names_entry(spec: Path, base: Path | None = None) -> bool:
    """Whether what the user named, relative to `base`, is a function and not a file."""
    return not ((base or Path()) / spec).exists() and is_entry(str(spec))


def model_file(
    spec: Path,
    cache: Cache,
    progress: Progress = silent,
    *,
    base: Path | None = None,
    seed: int = 0,
    time_limit: float = DEFAULT_SECONDS,
) -> Path:
    """The file of a model: that which a named function makes, any other as it is.

    The function runs in a child process, because the user named it and with the user's rights; not
    again while the Python files beside it stay as they are.

    Args:
        spec: a path, or `file:function`.
        cache: gets `model.pt2` or `model.keras`.
        progress: told what the function tells.
        base: what `spec` is relative to; by default the working directory.
        seed: given to a function that takes one.
        time_limit: seconds.

    Raises:
        ConfigError: there is no such function, or it returned something else than a model.
        MissingToolError: it imports a package that is not installed.
        ConversionError: its process crashed or ran out of time.
    """
    if not names_entry(spec, base):
        return spec if base is None else base / spec
    entry = parse_entry(str(spec), base or Path.cwd())
    inputs: dict[str, Any] = {
        "function": str(entry),
        "files": tree_digest(sorted(entry.file.parent.glob("*.py"))),
        "seed": seed,
        "code": code_digest("models"),
        "versions": {name: _version(name) for name in _MAKERS},
    }

    def produce(folder: Path) -> None:
        task = Task(
            "edgepack.models.torch_child:make_program",
            {
                "file": str(entry.file),
                "function": entry.function,
                "seed": seed,
                "out": str(folder.resolve()),
            },
            what=f"running {entry}",
            timeout=time_limit,
            tensorflow=False,
            time_hint="--time-limit SECONDS allows more",
        )
        run_task(task, progress)

    artefact = cache.get(STAGE, inputs, produce)
    return next(path for path in artefact.folder.iterdir() if path.stem == "model")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
