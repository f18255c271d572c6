"""Any model and any data -> a quantized model: conversion first, then edgepack/quantize."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack.bench.oracle import Oracle
from edgepack.models.entry import (
    is_entry,
    parse_entry,
    run_data_entry,
    run_metric_entry,
)
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import load_tflite
from edgepack.pipeline.convert import as_tflite
from edgepack.quantize.columns import Judge
from edgepack.quantize.data import Sources, read_sources
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.quantize.run import Outcome, quantize_float
from edgepack.quantize.search import LADDER
from edgepack.types import Array


@dataclass(frozen=True)
class Asked:
    """What to quantize.

    Attributes:
        model: of any format.
        data: a file, a folder, or `file:function`.
        settings: how.
        folder: that functions and recipe files are relative to.
        real: scale and zero point where the samples are stored integers.
        work: folder for what a training leaves behind, to go on from after an interruption.
        ladder: schemes that `max_drop` may mix.
    """

    model: Path
    data: str
    settings: QuantizeRecipe
    folder: Path = Path()
    real: tuple[float, int] | None = None
    work: Path | None = None
    ladder: tuple[str, ...] = LADDER


def quantize_any(asked: Asked, progress: Progress = silent) -> Outcome:
    """Convert if need be, quantize, evaluate.

    Raises:
        EdgepackError: whatever a stage raises.
    """
    ready = as_tflite(asked.model, progress=progress)
    sources = _sources(asked, ready.path, progress)
    done = quantize_float(
        ready.path.read_bytes(),
        sources,
        _with_teacher(asked, progress),
        folder=asked.folder,
        real=asked.real,
        work=asked.work,
        ladder=asked.ladder,
        judge=user_judge(asked.settings, asked.folder),
        reference=oracle_outputs,
        progress=progress,
    )
    done.report["warnings"][:0] = ready.warnings
    return done


def oracle_outputs(data: bytes, inputs: Sequence[Array]) -> tuple[str, list[Array]]:
    """Outputs of an integer model as stored, by the kernels that devices must equal.

    Args:
        data: the `.tflite`, of batch 1.
        inputs: stored, [n, ...].
    """
    with Oracle(data) as oracle:
        outputs = oracle.run([array[:, None] for array in inputs])
        return oracle.name, [out.reshape(len(out), *out.shape[2:]) for out in outputs]


def _with_teacher(asked: Asked, progress: Progress) -> QuantizeRecipe:
    """The settings with the teacher of a training converted."""
    qat = asked.settings.qat
    if qat is None or qat.teacher is None:
        return asked.settings
    ready = as_tflite(asked.folder / qat.teacher, progress=progress)
    return replace(asked.settings, qat=replace(qat, teacher=str(ready.path.resolve())))


def _sources(asked: Asked, path: Path, progress: Progress) -> Sources:
    inputs = load_tflite(path).inputs
    given = asked.folder / asked.data
    if given.exists() or not is_entry(asked.data):
        return read_sources(given, inputs)
    entry = parse_entry(asked.data, asked.folder)
    with tempfile.TemporaryDirectory() as folder:
        made = run_data_entry(entry, Path(folder), seed=asked.settings.seed, progress=progress)
        return read_sources(made, inputs)


def user_judge(settings: QuantizeRecipe, folder: Path) -> Judge:
    """How outputs are judged: with the user's own figure, if the settings name one.

    Raises:
        ConfigError: there is no such file.
    """
    if settings.metric is None:
        return Judge(top_k=settings.top_k)
    entry = parse_entry(settings.metric, folder)

    def measure(outputs: Array, labels: Array | None) -> float:
        return run_metric_entry(entry, outputs, labels)

    return Judge((str(entry), measure), settings.top_k)
