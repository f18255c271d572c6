"""Models that a Python function of the user's makes, for `edgepack convert file.py:function`."""

from __future__ import annotations

from pathlib import Path

from edgepack.models.entry import is_entry, parse_entry
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress, silent


def names_entry(spec: Path) -> bool:
    """Whether what the user named is a function and not a file."""
    return not spec.exists() and is_entry(str(spec))


def save_entry(spec: Path, folder: Path, time_limit: float, progress: Progress = silent) -> Path:
    """Run the function in a child process and save what it returns.

    Args:
        spec: `file:function`, relative to the working directory. The function runs because the
            user named it, with the user's rights.
        folder: gets `model.pt2` or `model.keras`.
        time_limit: seconds.
        progress: told what the function tells.

    Raises:
        ConfigError: there is no such function, or it returned something else than a model.
        MissingToolError: it imports a package that is not installed.
        ConversionError: its process crashed or ran out of time.
    """
    entry = parse_entry(str(spec), Path.cwd())
    task = Task(
        "edgepack.models.torch_child:make_program",
        {
            "file": str(entry.file),
            "function": entry.function,
            "seed": 0,
            "out": str(folder.resolve()),
        },
        what=f"running {entry}",
        timeout=time_limit,
        tensorflow=False,
        time_hint="--time-limit SECONDS allows more",
    )
    return folder / str(run_task(task, progress)["name"])
