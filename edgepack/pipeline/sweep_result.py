"""What a sweep found: the table as a file, its front, and the point that is taken from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.compress.front import front
from edgepack.errors import UsageError
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.compress_device import COSTS, TFLITE_NAME, quantized
from edgepack.pipeline.sweep_point import Asked, Files

SWEEP_NAME = "sweep.json"


def written(asked: Asked, files: Files, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write and return the table so far, with the numbers of the points on each front.

    `front` has the points that none beats in accuracy and a cost, by cost, and under `all` those
    that none beats in accuracy and all costs.
    """
    good = [row for row in rows if "error" not in row]
    accuracy = [quality(row["held_out"]) for row in good]
    costs = {cost: [[float(row[cost])] for row in good] for cost in COSTS}
    costs["all"] = [[float(row[cost]) for cost in COSTS] for row in good]
    document = {
        "model": str(asked.model),
        "target": asked.target,
        "validation": asked.validation,
        "data": {"choose": str(files.choose), "final": str(files.final)},
        "points": list(rows),
        "front": {
            name: [good[index]["number"] for index in front(accuracy, values)]
            for name, values in costs.items()
        },
    }
    path = asked.out / SWEEP_NAME
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
    return document


def quality(score: dict[str, Any]) -> float:
    """A score as a number of which more is better."""
    return float(score["value"] if score["metric"] == "top1" else -score["value"])


def read(folder: Path) -> dict[str, Any]:
    """What `written` wrote.

    Raises:
        UsageError: there is none.
    """
    path = folder / SWEEP_NAME
    if not path.is_file():
        raise UsageError(f"{path} does not exist", allowed="a folder that --sweep wrote")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def taken(folder: Path, number: int, progress: Progress = silent) -> dict[str, Any]:
    """One point of a finished sweep, with its score on the test split.

    Args:
        folder: that `sweep` wrote.
        number: of the point.
        progress: told of the evaluation.

    Returns:
        The row of the table, with `test` (as quantized, on the device's kernels) and `folder`.

    Raises:
        UsageError: there is no such sweep or point, or it failed.
    """
    document = read(folder)
    rows = {row["number"]: row for row in document["points"]}
    good = [str(at) for at, row in rows.items() if "error" not in row]
    if number not in rows or str(number) not in good:
        why = rows[number]["error"] if number in rows else "there is none of that number"
        raise UsageError(f"--point {number}: {why}", allowed=", ".join(good))
    row, place = rows[number], folder / f"{number:02d}"
    if "test" not in row:
        data = Path(document["data"]["final"])
        done = quantized(place / row["model"], data, row["scheme"], progress)
        if done.data != (place / TFLITE_NAME).read_bytes():
            raise UsageError(
                f"--point {number}: quantizing {place / row['model']} again gives other bytes than "
                f"{place / TFLITE_NAME}: it was changed, or edgepack was",
                next_step="run the same command with --sweep again",
            )
        row["test"] = done.report["evaluation"]["quantized"]
        text = json.dumps(document, indent=2) + "\n"
        (folder / SWEEP_NAME).write_text(text, encoding="utf-8")
    return {**row, "target": document["target"], "folder": str(place)}
