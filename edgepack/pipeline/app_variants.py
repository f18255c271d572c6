"""The forms of a model for phones, and what each costs: bytes, host latency, accuracy."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgepack.bench.host_reference import run_host
from edgepack.bench.statistics import Summary
from edgepack.convert.base import ConvertOptions
from edgepack.errors import EdgepackError, UsageError
from edgepack.models.dataset import Samples
from edgepack.models.handle import ModelHandle, TensorSpec
from edgepack.models.litert import to_stored
from edgepack.models.metrics import Metric, evaluate
from edgepack.models.progress import Progress
from edgepack.models.tflite_file import load_tflite
from edgepack.pipeline.convert import as_tflite, convert_cached
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.data import read_sources
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.types import Array, DType

Form = Literal["as-is", "fp16", "dynamic", "int8"]
FORMS: tuple[Form, ...] = ("as-is", "fp16", "dynamic", "int8")
_TO = {"fp16": "tflite-float16", "dynamic": "tflite-dynamic"}
EVALUATED = 500  # samples of the test split at most: a table of forms, not a report
_MEASURED_WITHOUT_DATA = 8  # inferences whose time is taken again and again (bench.host_reference)


@dataclass(frozen=True)
class Variant:
    """One form of the model.

    data: the `.tflite`, or None where it could not be made; `note` then says why.
    latency_us: microseconds of an inference on this computer, one thread, XNNPACK.
    unseen: of int8, the samples that did not calibrate it: all forms are judged by these.
    """

    form: Form
    data: bytes | None
    handle: ModelHandle | None = None
    latency_us: Summary | None = None
    metric: Metric | None = None
    note: str = ""
    warnings: tuple[str, ...] = ()
    unseen: Samples | None = None


def make_variants(
    model: Path, chosen: Form, data: str | None, folder: Path, progress: Progress
) -> tuple[Variant, ...]:
    """The model as it is, and the other forms that can be made of it, the chosen one for sure.

    Args:
        model: of any format.
        chosen: the form that is asked for.
        data: samples to calibrate int8 and to evaluate with, or None.
        folder: for scratch files.

    Raises:
        UsageError: the chosen form cannot be made of this model, or needs data.
        EdgepackError: as converting and quantizing.
    """
    ready = as_tflite(model, progress=progress)
    plain = _variant("as-is", ready.path.read_bytes(), folder, ready.warnings)
    assert plain.handle is not None
    reason = _why_as_is(plain.handle)
    if reason is not None:
        if chosen != "as-is":
            raise UsageError(
                f"--optimize {chosen} makes a smaller form of a float32 model; {model.name} "
                f"{reason}",
                allowed="--optimize as-is",
            )
        return (plain,)
    if chosen == "int8" and data is None:
        raise UsageError(
            "--optimize int8 measures ranges on samples, and none were given",
            next_step="--data samples.npz   (or --optimize dynamic, which needs none)",
        )
    made = [plain]
    for form in FORMS[1:]:
        if form == "int8" and data is None:
            continue
        try:
            made.append(_make(form, model, ready.path, data, folder, progress))
        except EdgepackError as error:
            if form == chosen:
                raise
            made.append(Variant(form, None, note=error.message.splitlines()[0]))
    return tuple(made)


def _why_as_is(handle: ModelHandle) -> str | None:
    """Why there are no other forms of a model; None where there are."""
    if DType.FLOAT32 not in handle.dtypes:
        return "computes with integers already"
    if DType.INT8 in handle.dtypes or DType.UINT8 in handle.dtypes or DType.INT16 in handle.dtypes:
        return "is quantized already"
    if DType.FLOAT16 in handle.dtypes:
        return "has float16 weights already"
    return None


def _make(
    form: Form, model: Path, tflite: Path, data: str | None, folder: Path, progress: Progress
) -> Variant:
    if form != "int8":
        done = convert_cached(tflite, ConvertOptions(to=_TO[form]), progress=progress)
        return _variant(form, done.path.read_bytes(), folder, done.warnings)
    assert data is not None
    outcome = quantize_any(Asked(tflite, data, QuantizeRecipe(scheme="int8")), progress)
    made = _variant(form, outcome.data, folder, tuple(outcome.warnings))
    evaluation = outcome.split.evaluation
    return made if evaluation is None else replace(made, unseen=evaluation.samples)


def _variant(form: Form, data: bytes, folder: Path, warnings: Sequence[str]) -> Variant:
    path = folder / f"{form}.tflite"
    path.write_bytes(data)
    return Variant(form, data, load_tflite(path), warnings=tuple(warnings))


def judging_samples(made: Sequence[Variant], data: str, handle: ModelHandle) -> Samples:
    """The samples to evaluate all forms with, real values or what the model stores.

    Raises:
        DataError: they are missing, damaged or do not fit.
    """
    unseen = next((v.unseen for v in made if v.unseen is not None), None)
    test = read_sources(Path(data), handle.inputs).test if unseen is None else unseen
    count = min(len(test), EVALUATED)
    return test.take(np.arange(count))


def stored_inputs(samples: Samples, handle: ModelHandle) -> tuple[Array, ...]:
    """Samples as a model's inputs store them; integers of the input's own type are kept."""
    return tuple(
        _stored(array, spec) for array, spec in zip(samples.inputs, handle.inputs, strict=True)
    )


def _stored(array: Array, spec: TensorSpec) -> Array:
    stored = array if array.dtype == spec.dtype.numpy else to_stored(array, spec)
    return stored.reshape(len(array), *(1 if size < 0 else size for size in spec.shape))


def measure(variant: Variant, samples: Samples | None, random: Sequence[Array]) -> Variant:
    """Time a form on this computer, and evaluate it where there are labels.

    Args:
        samples: real ones, or None.
        random: stored inputs to take times with where there are none.

    Raises:
        EdgepackError: LiteRT does not run it, or the samples do not fit.
    """
    if variant.data is None or variant.handle is None:
        return variant
    inputs = random if samples is None else stored_inputs(samples, variant.handle)
    result = run_host(variant.data, [a[:EVALUATED] for a in inputs])
    metric = None
    if samples is not None and samples.labels is not None:
        spec = variant.handle.outputs[0]
        values = result.outputs[0].astype(np.float64)
        if spec.scale is not None and spec.zero_point is not None:
            values = (values - spec.zero_point) * spec.scale
        flat = values.reshape(len(values), -1)
        labels = samples.labels
        metric = evaluate(flat if labels.size == len(values) else values, labels)
    return replace(variant, latency_us=result.latency_us, metric=metric)


def random_inputs(handle: ModelHandle) -> tuple[Array, ...]:
    """Stored inputs from a seed, for times alone."""
    rng = np.random.default_rng(0)
    made = []
    for spec in handle.inputs:
        shape = (_MEASURED_WITHOUT_DATA, *(1 if size < 0 else size for size in spec.shape))
        if spec.dtype is DType.FLOAT32:
            made.append(rng.standard_normal(shape).astype(np.float32))
        elif spec.scale is not None:
            limits = np.iinfo(spec.dtype.numpy)
            made.append(rng.integers(limits.min, limits.max + 1, shape).astype(spec.dtype.numpy))
        else:
            made.append(rng.integers(0, 2, shape).astype(spec.dtype.numpy))
    return tuple(made)


def as_row(variant: Variant) -> dict[str, Any]:
    """A form as JSON shows it."""
    return {
        "form": variant.form,
        "bytes": None if variant.data is None else len(variant.data),
        "host_latency_us": None if variant.latency_us is None else variant.latency_us.median,
        "accuracy": None if variant.metric is None else variant.metric.as_dict(),
        "note": variant.note,
    }


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for the files of the forms, removed at the end."""
    return tempfile.TemporaryDirectory(prefix="edgepack-app-")
