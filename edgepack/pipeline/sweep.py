"""A grid of recipes -> what each makes of a network on a target, and the front of the best.

Every point is trained (first steps that points share only once), quantized, built and run in the
target's emulator. Points are compared on samples that are held out of the training split; the test
split is looked at for the point that is taken (`pipeline.sweep_result.taken`) alone. What a stopped
run finished is found again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.cache import CACHE_NAME, stage_key, tree_digest
from edgepack.compress.grid import Point
from edgepack.errors import DataError
from edgepack.models.dataset import Dataset, read_dataset, write_dataset
from edgepack.models.load import load_model
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.compress import checked_steps, located_data
from edgepack.pipeline.compress_device import Build, check_target
from edgepack.pipeline.sweep_point import Asked, Files, tried
from edgepack.pipeline.sweep_result import written

_DATA_NAME = "sweep-data"  # in the cache folder
_FEWEST = 10  # held-out samples: fewer tell nothing


def sweep(asked: Asked, progress: Progress = silent) -> dict[str, Any]:
    """Try every point, or those that an earlier run did not finish; write and return `sweep.json`.

    A point that cannot be made (more is to go than may, the image is too large) is kept with its
    error; the others go on.

    Raises:
        UsageError, ConfigError: a target that is not emulated, or a step that is wrong.
        DataError: no data, no labels, or too few to hold some out.
    """
    check_target(asked.target)
    for point in asked.points:
        checked_steps(point.steps, "the grid")
    handle = load_model(asked.model)
    asked.out.mkdir(parents=True, exist_ok=True)
    files = _parted(asked, progress)
    # "as it is" first: what the others are compared with
    builds = [
        Build(asked.target, scheme, optimize)
        for scheme in asked.schemes
        for optimize in asked.optimize
    ]
    every = [(point, build) for point in (Point((), ()), *asked.points) for build in builds]
    rows: list[dict[str, Any]] = []
    document = written(asked, files, rows)
    for number, (point, build) in enumerate(every):
        told = _numbered(progress, number, len(every))
        rows.append(tried(asked, handle, files, point, build, number, told))
        document = written(asked, files, rows)
    return document


def _numbered(progress: Progress, number: int, count: int) -> Progress:
    def told(stage: str, fraction: float | None, message: str) -> None:
        progress(stage, fraction, f"point {number} of 0 to {count - 1}: {message}")

    return told


def _parted(asked: Asked, progress: Progress) -> Files:
    """Hold samples out of the training split; the same ones in every run."""
    with tempfile.TemporaryDirectory() as name:
        source = located_data(asked.data, asked.folder, Path(name), 0, progress)
        digest = tree_digest([source])
        key = stage_key("sweep", {"data": digest, "validation": asked.validation})
        place = (asked.folder / CACHE_NAME / _DATA_NAME / key).resolve()
        files = Files(place / "choose.npz", place / "final.npz")
        if files.final.is_file():
            return files
        whole = read_dataset(source)
    if whole.train.labels is None or whole.test.labels is None:
        raise DataError("a sweep compares accuracies and needs labels", allowed="x and y")
    count = round(asked.validation * len(whole.train))
    if count < _FEWEST or count > len(whole.train) // 2:
        raise DataError(
            f"--validation {asked.validation} of {len(whole.train)} training samples are {count}",
            allowed=f"at least {_FEWEST}, and at most half of them",
        )
    order = np.random.default_rng(0).permutation(len(whole.train))
    train = whole.train.take(np.sort(order[count:]))
    place.mkdir(parents=True, exist_ok=True)
    write_dataset(files.choose, Dataset(train, whole.train.take(np.sort(order[:count]))))
    write_dataset(files.final, Dataset(train, whole.test))
    return files
