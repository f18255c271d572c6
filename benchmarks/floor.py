"""The figures to beat: benchmarks/floor.json, facts measured elsewhere, with their origin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Figure = Literal["instructions", "flash", "ram"]
FIGURES: tuple[Figure, ...] = ("instructions", "flash", "ram")
_PATH = Path(__file__).with_name("floor.json")


@dataclass(frozen=True)
class Limits:
    """The figures of one core, model and quantity; None where nobody stated one.

    floor: TFLite Micro with CMSIS-NN. bar: what edgepack must reach. stretch: what it hopes for.
    """

    floor: int | None = None
    bar: int | None = None
    stretch: int | None = None

    def verdict(self, value: float) -> Literal["", "MISS", "ok", "stretch"]:
        """What a measured value is worth; smaller is better everywhere."""
        if self.bar is None:
            return ""
        if value > self.bar:
            return "MISS"
        return "stretch" if self.stretch is not None and value <= self.stretch else "ok"

    def ratio(self, value: float) -> float | None:
        """How many times smaller than the floor a value is."""
        return None if self.floor is None or value <= 0 else self.floor / value


@cache
def document() -> dict[str, Any]:
    """The content of floor.json."""
    content: dict[str, Any] = json.loads(_PATH.read_text(encoding="utf-8"))
    return content


def origin() -> tuple[str, ...]:
    """Where the figures come from."""
    return tuple(document()["origin"])


def reference_core(core: str) -> str:
    """The core whose figures stand for `core`: itself, or the one that it follows."""
    return str(document()["follows"].get(core, core))


def limits(core: str, model: str, figure: Figure) -> Limits:
    """The limits of a figure; all None where there are none."""
    stated = document()["cores"].get(reference_core(core), {}).get(figure, {})
    return Limits(*(stated.get(kind, {}).get(model) for kind in ("floor", "bar", "stretch")))
