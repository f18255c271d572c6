"""What a method is given and what it gives back, inside the child process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgepack.models.dataset import Dataset
from edgepack.models.progress import Progress


@dataclass(frozen=True)
class Context:
    """What every method may use: the data (None where the user gave none) and the progress."""

    data: Dataset | None
    progress: Progress


@dataclass(frozen=True)
class LayerChange:
    """What a method did to one weight array; `elements` and `zeros` count what is left of it."""

    name: str
    shape: tuple[int, ...]
    elements: int
    zeros: int
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """The new model, what changed in it, and what of that the device will see, in words."""

    model: Any
    layers: tuple[LayerChange, ...]
    device_saving: str
