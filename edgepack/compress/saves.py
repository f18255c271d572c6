"""Training that goes on where it was stopped: everything that the next epoch depends on, in a file.

`apply_child` says with `saving_under` where a step's files go; every training that the step starts,
in the order in which it starts them, then has a file of its own. The rest of a step is computed
anew when it is taken up again, and is the same, because it depends on seeds alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgepack.models.unreadable import NPZ_ERRORS
from edgepack.types import Array

# Writing may take this share of the time: small networks have epochs shorter than a file takes.
_SHARE = 0.05


@runtime_checkable
class Stateful(Protocol):
    """A callback of the training loop that the later steps depend on."""

    def state(self) -> dict[str, Array]:
        """What `restore` needs."""

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on as if the steps up to `state` had been seen."""


class _Folder:
    """Names for the trainings of one step."""

    def __init__(self, prefix: Path) -> None:
        self.prefix, self.count = prefix, 0

    def next(self) -> Path:
        self.count += 1
        return self.prefix.with_name(f"{self.prefix.name}.training-{self.count}.npz")

    def clear(self) -> None:
        for number in range(1, self.count + 1):
            path = self.prefix.with_name(f"{self.prefix.name}.training-{number}.npz")
            path.unlink(missing_ok=True)


_FOLDER: ContextVar[_Folder | None] = ContextVar("folder", default=None)


@contextlib.contextmanager
def saving_under(prefix: Path | None) -> Iterator[None]:
    """Keep what trainings in the block need to go on; removed when the block ends without an error.

    Args:
        prefix: a path without its suffix, unique to the model, the data and the step; None keeps
            nothing.
    """
    folder = None if prefix is None else _Folder(prefix)
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)
    if folder is not None:
        folder.clear()


class Saves:
    """One training's file.

    `variables` is everything that training changes, the optimizer's included.
    """

    def __init__(self, variables: Sequence[Any], callbacks: Sequence[Any]) -> None:
        folder = _FOLDER.get()
        self._path = None if folder is None else folder.next()
        self._variables = variables
        self._callbacks = [callback for callback in callbacks if isinstance(callback, Stateful)]
        self._free = 0.0  # when the next file may be written, in time.monotonic()

    def load(self) -> int:
        """Put everything back as it was; the number of epochs that are done, 0 without a file."""
        if self._path is None or not self._path.is_file():
            return 0
        try:
            # opened here: NumPy leaves a file open that turns out to be broken
            with self._path.open("rb") as file, np.load(file) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except NPZ_ERRORS:
            return 0  # the disk was full, or the machine lost power: begin anew
        for number, variable in enumerate(self._variables):
            variable.assign(arrays[f"variable-{number}"])
        for number, callback in enumerate(self._callbacks):
            prefix = f"callback-{number}-"
            callback.restore(
                {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}
            )
        return int(arrays["epochs"])

    def save(self, epochs: int, *, last: bool) -> None:
        """Write the file, unless the last one was written a moment ago.

        Args:
            epochs: that are done.
            last: write it in any case.
        """
        began = time.monotonic()
        if self._path is None or (began < self._free and not last):
            return
        arrays = {"epochs": np.asarray(epochs)}
        for number, variable in enumerate(self._variables):
            arrays[f"variable-{number}"] = np.asarray(variable)
        for number, callback in enumerate(self._callbacks):
            for key, value in callback.state().items():
                arrays[f"callback-{number}-{key}"] = value
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes them for flags
        part.rename(self._path)
        ended = time.monotonic()
        self._free = ended + (ended - began) / _SHARE
