"""What a method is given and what it gives back, inside the child process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.compress.device import Meter
from edgepack.models.dataset import Dataset
from edgepack.models.progress import Progress


@dataclass(frozen=True)
class Context:
    """What every method may use.

    Attributes:
        data: None where the user gave none.
        progress: told what is going on.
        original: loads the model as it was before the first step.
        folder: that paths in a step's configuration are relative to.
        meter: builds a model for a target and measures it there; None where nothing can.
    """

    data: Dataset | None
    progress: Progress
    original: Callable[[], Any] | None = None
    folder: Path = Path()
    meter: Meter | None = None


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
