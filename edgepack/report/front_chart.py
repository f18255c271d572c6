"""The points of a sweep as a picture: accuracy against flash, RAM and instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepack.models.isolate import has_package

_PANEL_INCHES = (4.6, 4.2)
_DPI = 120
_TITLES = {
    "flash": "flash of the whole image [KiB]",
    "ram": "RAM: static + arena + stack [KiB]",
    "instructions": "instructions of one inference [thousands]",
}
_UNITS = {"flash": 1024.0, "ram": 1024.0, "instructions": 1e3}
FORMATS = ("png", "svg")


def draw(document: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Write `front.png` and `front.svg`.

    Args:
        document: of `pipeline.sweep_result`.
        folder: gets them.

    Returns:
        The files; none without matplotlib or without a point to draw.
    """
    points = {row["number"]: row for row in document["points"] if "error" not in row}
    if not points or not has_package("matplotlib"):
        return ()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _PANEL_INCHES
    picture = Figure(figsize=(width * len(_TITLES), height), layout="constrained")
    FigureCanvasAgg(picture)
    for axis, cost in zip(picture.subplots(1, len(_TITLES)), _TITLES, strict=True):
        _panel(axis, cost, points, document["front"][cost])
    picture.suptitle(
        f"{Path(document['model']).name} on {document['target']} (emulated); "
        "accuracy as quantized, of held-out training samples"
    )
    paths = tuple(folder / f"front.{suffix}" for suffix in FORMATS)
    for path in paths:
        # neither the time nor random ids: the same sweep gives the same file
        with matplotlib.rc_context({"svg.hashsalt": "edgepack", "svg.fonttype": "none"}):
            picture.savefig(
                path, dpi=_DPI, metadata={"Date": None} if path.suffix == ".svg" else {}
            )
    return paths


def _panel(axis: Any, cost: str, points: Mapping[int, Any], front: Sequence[int]) -> None:
    def place(number: int) -> tuple[float, float]:
        score = points[number]["held_out"]
        return points[number][cost] / _UNITS[cost], _shown(score)

    best = [place(number) for number in front]
    others = [number for number in points if number not in front]
    if others:
        axis.plot(*zip(*map(place, others), strict=True), "o", color="#9a9a9a", label="beaten")
    axis.step(
        *zip(*best, strict=True), where="post", marker="o", color="#3b76af", label="on the front"
    )
    for number in points:
        text = f"{number} (as it is)" if not points[number]["steps"] else str(number)
        axis.annotate(text, place(number), textcoords="offset points", xytext=(5, 5), fontsize=8)
    axis.set_xlabel(_TITLES[cost])
    metric = next(iter(points.values()))["held_out"]["metric"]
    axis.set_ylabel("top-1 [%]" if metric == "top1" else metric)
    axis.margins(0.12)  # room for the numbers beside the outer points
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right", fontsize=8)


def _shown(score: Mapping[str, Any]) -> float:
    return float(score["value"]) * (100.0 if score["metric"] == "top1" else 1.0)
