"""The tables as one picture: each figure as a share of the floor, with the bar to reach."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import floor
from benchmarks.measure import Figures, core_of
from edgepack.errors import EdgepackError

_COLOURS = {"ok": "#3b76af", "stretch": "#3f8f4f", "MISS": "#c1442e", "": "#888888"}
_PANEL_INCHES = (3.4, 3.0)
_DPI = 120


def draw(results: Mapping[str, Mapping[str, Figures | EdgepackError]], path: Path) -> Path | None:
    """Write a PNG with one panel per target and figure that has a floor.

    Args:
        results: by target, then by model.
        path: the file.

    Returns:
        the path, or None without matplotlib or without anything to compare.
    """
    panels = [
        (target, figure)
        for target in results
        for figure in floor.FIGURES
        if any(_bars(target, figure, results[target]))
    ]
    if not panels or importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    width, height = _PANEL_INCHES
    picture = Picture(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.subplots(rows, columns, squeeze=False).flatten()
    for axis, (target, figure) in zip(axes, panels, strict=False):
        _panel(axis, target, figure, results[target])
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    picture.suptitle("share of TFLite Micro with CMSIS-NN; line: the bar to reach")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=_DPI)
    return path


def _bars(
    target: str, figure: floor.Figure, row: Mapping[str, Figures | EdgepackError]
) -> list[tuple[str, float, float | None, str]]:
    """Per model: its name, value / floor, bar / floor, verdict."""
    bars: list[tuple[str, float, float | None, str]] = []
    for name, figures in row.items():
        limits = floor.limits(core_of(target), name, figure)
        if isinstance(figures, EdgepackError) or limits.floor is None:
            continue
        value = getattr(figures, figure)
        bar = None if limits.bar is None else limits.bar / limits.floor
        bars.append((name, value / limits.floor, bar, limits.verdict(value)))
    return bars


def _panel(
    axis: Any, target: str, figure: floor.Figure, row: Mapping[str, Figures | EdgepackError]
) -> None:
    for place, (_, share, bar, verdict) in enumerate(bars := _bars(target, figure, row)):
        axis.bar(place, share, width=0.6, color=_COLOURS[verdict])
        axis.text(place, 0.02, f"{share:.0%}", ha="center", color="white", fontsize=9)
        if bar is not None:
            axis.hlines(bar, place - 0.4, place + 0.4, color="black", linewidth=1.5)
    axis.set_xticks(range(len(bars)), [name for name, *_ in bars])
    axis.set_ylim(0, 1.05)
    core = floor.reference_core(core_of(target))
    axis.set_title(f"{target}: {figure} / {core} floor", fontsize=8)
