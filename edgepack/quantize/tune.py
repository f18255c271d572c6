"""What may follow calibration: training, a search for a mixture of schemes, a diagnosis."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import DataError
from edgepack.models.dataset import Samples
from edgepack.models.progress import Progress, silent
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.debug import diagnose
from edgepack.quantize.debug_runs import stored_form
from edgepack.quantize.evaluate import run_model, score
from edgepack.quantize.ptq import PtqOptions, PtqResult, calibrate, quantize
from edgepack.quantize.qat import AGREEMENT, Reference, Trained, train
from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.quantize.search import LADDER, Mixture, search
from edgepack.types import Array

DEBUG_SAMPLES = 64
SEARCH_SAMPLES = 1000
_DATA_NAME = "qat_data.npz"


@dataclass(frozen=True)
class Material:
    """Real samples for it: float arrays as the model takes them.

    Attributes:
        train: what may be trained on and searched with; none of it is evaluated.
        calibration: positions in `train` that calibrated.
        test: what is evaluated; None: nothing.
        float_model: before equalization.
        work: folder for what a training leaves behind; None: a temporary one.
        reference: runs the integer model as the device does, to compare a training with.
        ladder: schemes that the target's runtime has, cheapest first.
    """

    train: Samples
    calibration: Array
    test: Samples | None
    float_model: bytes
    work: Path | None = None
    ladder: Sequence[str] = LADDER
    reference: Reference | None = None


@dataclass(frozen=True)
class Tuned:
    """The integer model, and what is to be reported of how it came to be.

    `first` is the model before operators were raised.
    """

    calibrated: Calibrated
    options: PtqOptions
    result: PtqResult
    first: PtqResult
    report: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def tune(
    calibrated: Calibrated,
    options: PtqOptions,
    settings: QuantizeRecipe,
    material: Material | None,
    progress: Progress = silent,
) -> Tuned:
    """Train, search and diagnose as the settings say, and quantize.

    Args:
        calibrated: the float model.
        options: how to quantize it.
        settings: what else to do.
        material: samples; None only where nothing else is to be done.
        progress: told of each step.

    Raises:
        EdgepackError: as each of them.
    """
    if material is None:
        result = quantize(calibrated, options, progress)
        return Tuned(calibrated, options, result, result)
    report: dict[str, Any] = {}
    warnings: list[str] = []
    if settings.qat is not None:
        trained = _train(calibrated, options, settings.qat, material, progress)
        calibrated, result = trained.calibrated, trained.result
        report["qat"] = trained.report
        if trained.agreement.outputs < AGREEMENT:
            warnings.append(
                f"{trained.agreement.kernels} computes only {trained.agreement.outputs:.2%} of the "
                "outputs as they were in training"
            )
    else:
        result = quantize(calibrated, options, progress)
    first, rest = result, _rest(material)
    if settings.max_drop is not None:
        if len(rest) < SEARCH_SAMPLES:
            warnings.append(
                f"the mixture was chosen on {len(rest)} samples: one decides "
                f"{100 / len(rest):.2g} points"
            )
        goal = _goal(settings.max_drop, rest, material)
        before, evened = goal.drop(result), None
        if settings.qat is None:
            evened = _evened(calibrated, options, result, goal, material, progress)
        if evened is not None:
            calibrated, options = evened
        found = _search(calibrated, options, goal, material, progress)
        options, result = found.options, found.result
        report["max_drop"] = {"samples": len(rest), "bound_points": settings.max_drop}
        report["max_drop"]["given_drop_points"] = before
        report["max_drop"]["equalized"] = evened is not None
        report["max_drop"].update(found.as_dict())
        if not found.met:
            warnings.append(
                f"no mixture keeps the drop within {settings.max_drop:g} points: the best loses "
                f"{found.drop:.2f} on {len(rest)} samples"
            )
    if settings.debug:
        samples = _rows(rest.take(np.arange(min(DEBUG_SAMPLES, len(rest)))))
        seen = diagnose(
            calibrated,
            options,
            result,
            samples,
            float_model=material.float_model if settings.qat is None else None,
            progress=progress,
        )
        report["debug"] = seen.as_dict()
    return Tuned(calibrated, options, result, first, report, tuple(warnings))


def _train(
    calibrated: Calibrated,
    options: PtqOptions,
    qat: QatOptions,
    material: Material,
    progress: Progress,
) -> Trained:
    test = material.test or material.train
    with tempfile.TemporaryDirectory() as scratch:
        folder = material.work or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        data = Path(scratch) / _DATA_NAME
        _write(data, material.train, test)
        return train(calibrated, options, qat, data, folder, progress, material.reference)


def _write(path: Path, training: Samples, test: Samples) -> None:
    """A data file for the child; not compressed, which takes longer than the training of much."""
    arrays: dict[str, Any] = {}
    for name, samples in (("train", training), ("test", test)):
        for index, array in enumerate(samples.inputs):
            arrays[f"{name}_input_{index}"] = array
        if samples.labels is not None:
            arrays[f"{name}_labels"] = samples.labels
    np.savez(path, **arrays)


def _rest(material: Material) -> Samples:
    """Samples that neither calibrated nor are evaluated; all of `train` where none are left."""
    rest = np.setdiff1d(np.arange(len(material.train)), material.calibration)
    return material.train.take(rest[:SEARCH_SAMPLES]) if len(rest) else material.train


def _rows(samples: Samples) -> list[tuple[Array, ...]]:
    return [
        tuple(np.asarray(a[i : i + 1], np.float32) for a in samples.inputs)
        for i in range(len(samples))
    ]


@dataclass(frozen=True)
class _Goal:
    """What a mixture must reach: samples, accuracy in points on them, float's, and the bound."""

    rows: list[tuple[Array, ...]]
    points: Callable[[Array], float]
    accuracy: float
    max_drop: float

    def drop(self, result: PtqResult) -> float:
        """What a model loses, in points."""
        return self.accuracy - self.points(_outputs(result.data, self.rows))


def _goal(max_drop: float, samples: Samples, material: Material) -> _Goal:
    rows = _rows(samples)
    exact = _outputs(material.float_model, rows)
    labels = samples.labels
    # without labels the float model's decisions stand for them: the drop is a share of changes
    wanted = labels if labels is not None else exact.reshape(len(exact), -1).argmax(axis=1)

    def points(outputs: Array) -> float:
        found = score(outputs, wanted)
        if found is None or found.metric not in ("top1", "auc"):
            raise DataError(
                "--max-drop is about decisions, and these labels are no class numbers",
                allowed="labels of classes, or none (then changed decisions count)",
            )
        return 100.0 * found.value

    return _Goal(rows, points, points(exact), max_drop)


def _evened(
    calibrated: Calibrated,
    options: PtqOptions,
    result: PtqResult,
    goal: _Goal,
    material: Material,
    progress: Progress,
) -> tuple[Calibrated, PtqOptions] | None:
    """The model with equalized channels, which costs the device nothing, if that brings it nearer.

    None where the bound is met, it was asked for anyway, or ranges are pinned to what they were.
    """
    if options.equalize or options.pins or goal.drop(result) <= goal.max_drop:
        return None
    changed = replace(options, equalize=True)
    other = calibrate(material.float_model, calibrated.samples, changed, progress)
    if goal.drop(quantize(other, changed)) >= goal.drop(result):
        return None
    return other, changed


def _search(
    calibrated: Calibrated,
    options: PtqOptions,
    goal: _Goal,
    material: Material,
    progress: Progress,
) -> Mixture:
    return search(
        calibrated,
        options,
        goal.rows,
        lambda result: goal.points(_outputs(result.data, goal.rows)),
        goal.accuracy,
        goal.max_drop,
        ladder=material.ladder,
        progress=progress,
    )


def _outputs(data: bytes, rows: Sequence[tuple[Array, ...]]) -> Array:
    from edgepack.convert.flatbuffer import read_model

    graph = read_model(data).subgraphs[0]
    inputs, outputs = (
        [stored_form(graph.tensors[int(i)]) for i in side] for side in (graph.inputs, graph.outputs)
    )
    return run_model(data, rows, inputs, outputs)[0]
