"""A float `.tflite`, data and settings -> the quantized model and a report of what it is worth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.dynamic import to_dynamic
from edgepack.convert.float16 import to_float16
from edgepack.convert.signature import with_signature
from edgepack.errors import UnsupportedError, UsageError
from edgepack.models.dataset import Samples
from edgepack.models.handle import TensorSpec
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import parse_tflite, tensor_spec
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.columns import Judge, Tested, ends, evaluate
from edgepack.quantize.data import Sources, Split, as_floats, choose
from edgepack.quantize.ptq import PtqOptions, PtqResult, calibrate
from edgepack.quantize.qat import Reference
from edgepack.quantize.recipe import INTEGER_SCHEMES, QuantizeRecipe
from edgepack.quantize.rules import Rules, read_rules, rules_from, uniform
from edgepack.quantize.search import LADDER
from edgepack.quantize.tune import Material, tune
from edgepack.quantize.validate import check_quantized
from edgepack.quantize.warn import data_warnings, result_warnings
from edgepack.types import Array, DType

REPORT_FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """A finished quantization.

    Attributes:
        data: the `.tflite`.
        report: everything about it, as JSON (docs/quantize.md).
        split: the samples that calibrated and were evaluated.
        calibrated, result: for further plans from the same measurement; None for dynamic and
            float16, which measure nothing.
        first: the `.tflite` before `max_drop` raised operators; None where it was not asked for.
        tested: both models with the samples that were evaluated; None without any.
        float_outputs: of the float model on those.
    """

    data: bytes
    report: dict[str, Any]
    split: Split
    calibrated: Calibrated | None = None
    result: PtqResult | None = None
    first: bytes | None = None
    tested: Tested | None = None
    float_outputs: Sequence[Array] = ()

    @property
    def warnings(self) -> list[str]:
        """What the user should know."""
        return list(self.report["warnings"])


def quantize_float(
    data: bytes,
    sources: Sources,
    settings: QuantizeRecipe,
    *,
    folder: Path | None = None,
    real: tuple[float, int] | None = None,
    judge: Judge | None = None,
    work: Path | None = None,
    ladder: Sequence[str] = LADDER,
    reference: Reference | None = None,
    progress: Progress = silent,
) -> Outcome:
    """Quantize a float model and evaluate it beside the original.

    Args:
        data: the float `.tflite`.
        sources: samples.
        settings: how.
        folder: that a recipe file is relative to; the current one by default.
        real: scale and zero point where the samples are stored integers.
        judge: how outputs are judged; by default the built-in figures.
        work: folder for what a training leaves behind, so that it can go on after an interruption.
        ladder: schemes that `max_drop` may mix.
        reference: runs an integer model as the device does; None: LiteRT.
        progress: told the share done.

    Raises:
        EdgepackError: the model, the data or the settings do not fit.
    """
    started = time.perf_counter()
    check_settings(settings)
    rules = rules_of(settings, folder or Path())
    inputs, outputs = ends(data)
    check_float(data, inputs)
    split = choose(sources, settings.calibration_samples, settings.evaluate, settings.seed)
    samples = as_floats(split.calibration.samples, inputs, real)
    warnings = data_warnings(split, samples)
    seconds: dict[str, float] = {}
    calibrated = result = None
    extra: dict[str, Any] = {}
    first: bytes | None = None
    if settings.scheme in INTEGER_SCHEMES:
        options = options_of(settings, rules)
        calibrated = calibrate(data, samples, options, progress)
        seconds["calibrate"] = time.perf_counter() - started
        material = None
        if settings.qat is not None or settings.max_drop is not None or settings.debug:
            material = _material(sources, split, inputs, real, data)
            material = replace(material, work=work, ladder=ladder, reference=reference)
        tuned = tune(calibrated, options, settings, material, progress)
        calibrated, result, rules = tuned.calibrated, tuned.result, tuned.options.rules
        made = result.data
        warnings += [*_unused(rules, result), *tuned.warnings]
        extra = tuned.report
        first = None if settings.max_drop is None else tuned.first.data
    else:
        made, notes = (to_dynamic if settings.scheme == "dynamic" else to_float16)(data)
        warnings += notes
    made = _signed(made, inputs, outputs)
    kinds = check_quantized(made, None if result is None else result.plan, settings.io)
    seconds["quantize"] = time.perf_counter() - started - sum(seconds.values())
    tested = _tested(data, made, split, inputs, real)
    by = judge or Judge(top_k=settings.top_k)
    evaluated, exact = (None, []) if tested is None else evaluate(tested, by, progress)
    seconds["evaluate"] = time.perf_counter() - started - sum(seconds.values())
    warnings += result_warnings(evaluated)
    report = {
        "format": REPORT_FORMAT,
        "settings": settings_dict(settings),
        "rules": rules.as_dict(),
        "calibration": {
            "samples": len(samples),
            "method": settings.calibration,
            "from": Path(sources.origin).name,
        },
        "bytes": {"float": len(data), "quantized": len(made)},
        "types": kinds,
        "operators": [] if result is None else _operators(result),
        "evaluation": evaluated,
        **extra,
        "warnings": warnings,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
    return Outcome(made, report, split, calibrated, result, first, tested, exact)


def _material(
    sources: Sources,
    split: Split,
    inputs: tuple[TensorSpec, ...],
    real: tuple[float, int] | None,
    data: bytes,
) -> Material:
    """Samples to train and to search with: all that are not evaluated, as floats."""
    tested = split.evaluation
    left = np.arange(len(sources.train))
    if sources.whole and tested is not None:
        left = np.setdiff1d(left, tested.indices)
    left = left if len(left) else split.calibration.indices
    calibration = np.flatnonzero(np.isin(left, split.calibration.indices))

    def floats(samples: Samples) -> Samples:
        rows = as_floats(samples, inputs, real)
        columns = zip(*rows, strict=True)
        return Samples(tuple(np.concatenate(column) for column in columns), samples.labels)

    test = None if tested is None else floats(tested.samples)
    train = floats(sources.train.take(left))
    return Material(train, calibration, test, data)


def settings_dict(settings: QuantizeRecipe) -> dict[str, Any]:
    """The settings as JSON stores them; rules from a file stand in the report's `rules`."""
    found = asdict(settings)
    if isinstance(settings.recipe, str):
        found["recipe"] = Path(settings.recipe).name
    return found


def check_settings(settings: QuantizeRecipe) -> None:
    """Refuse settings that the scheme would pass over in silence.

    Raises:
        UsageError: `dynamic` and `float16` measure nothing and mix nothing.
    """
    if settings.scheme in INTEGER_SCHEMES:
        return
    for name in (
        "recipe",
        "pin",
        "equalize",
        "bias_correction",
        "adaptive_rounding",
        "io",
        "qat",
        "max_drop",
        "debug",
    ):
        if getattr(settings, name):
            raise UsageError(
                f"--{name.replace('_', '-')} has no meaning for --scheme {settings.scheme}, which "
                "keeps activations in float",
                allowed=f"it with --scheme {', '.join(INTEGER_SCHEMES)}",
            )


def rules_of(settings: QuantizeRecipe, folder: Path) -> Rules:
    """The rules: the scheme for everything, then the recipe's."""
    first = uniform(settings.scheme if settings.scheme in INTEGER_SCHEMES else "float")
    if settings.recipe is None:
        return first
    if isinstance(settings.recipe, str):
        return first.plus(*read_rules(folder / settings.recipe).rules)
    entries = [asdict(entry) for entry in settings.recipe]
    return first.plus(*rules_from(entries, "[quantize] recipe").rules)


def options_of(settings: QuantizeRecipe, rules: Rules) -> PtqOptions:
    """The engine's options."""
    native = DType.INT16 if settings.scheme == "int16x8" else DType.INT8
    return PtqOptions(
        rules=rules,
        io=native if settings.io is None else DType(settings.io.upper()),
        method=settings.calibration,
        percentile=settings.percentile,
        pins=settings.pin,
        equalize=settings.equalize,
        bias_correction=settings.bias_correction,
        adaptive_rounding=settings.adaptive_rounding,
    )


def check_float(data: bytes, inputs: Sequence[TensorSpec]) -> None:
    """Refuse a model that is quantized already.

    Raises:
        UnsupportedError: one of its tensors has a scale.
    """
    model = parse_tflite(data, "the model")
    for graph in model.subgraphs:
        for raw in graph.tensors or []:
            spec = tensor_spec(raw)
            if raw.quantization is not None and raw.quantization.scale is not None:
                raise UnsupportedError(
                    f"the model is quantized already and not quantized again: tensor "
                    f"{spec.name!r} is {spec.dtype.value} with a scale",
                    allowed="a model in float32",
                    next_step="start from the float model that it was made from",
                )
    if not any(spec.dtype is DType.FLOAT32 for spec in inputs):
        got = ", ".join(spec.dtype.value for spec in inputs)
        raise UnsupportedError(f"no input of the model is float32 (got {got})")


def _signed(made: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
    if parse_tflite(made, "the model").signatureDefs:
        return made
    return with_signature(made, [s.name for s in inputs], [s.name for s in outputs])


def _operators(result: PtqResult) -> list[dict[str, Any]]:
    return [
        {"op": op, "name": name, "scheme": result.plan.schemes[key].name}
        for key, (op, name) in result.plan.names.items()
    ]


def _unused(rules: Rules, result: PtqResult) -> list[str]:
    names = list(result.plan.names.values())
    return [
        f"the rule for {rule.op} {rule.scope!r} matches no operator" for rule in rules.unused(names)
    ]


def _tested(
    data: bytes,
    made: bytes,
    split: Split,
    inputs: tuple[TensorSpec, ...],
    real: tuple[float, int] | None,
) -> Tested | None:
    """What is evaluated; None without samples."""
    if split.evaluation is None:
        return None
    chosen: Samples = split.evaluation.samples
    return Tested(data, made, as_floats(chosen, inputs, real), chosen.labels)
