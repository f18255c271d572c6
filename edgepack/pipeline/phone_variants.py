"""The same network in several precisions, so that a phone can say what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import UnsupportedError, UsageError
from edgepack.models.dataset import Samples
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import parse_tflite, tensor_spec
from edgepack.pipeline.convert import as_tflite
from edgepack.quantize.data import Sources, read_sources
from edgepack.quantize.recipe import QuantizeRecipe, Scheme
from edgepack.quantize.run import quantize_float

_SCHEMES: dict[str, Scheme | None] = {
    "float": None,
    "fp16": "float16",
    "dynamic": "dynamic",
    "int8": "int8",
}
_RANDOM = 64  # samples to calibrate on where the user has none; the figures say nothing of accuracy


@dataclass(frozen=True)
class Variants:
    """The precisions of one model: a file for each, in the order that was asked for.

    samples: an .npz of those samples that calibrated none of them; None without any.
    """

    models: tuple[Path, ...]
    samples: Path | None


def parse_variants(text: str) -> tuple[str, ...]:
    """The precisions of `float,int8,fp16`.

    Raises:
        UsageError: one is unknown or stands there twice.
    """
    names = tuple(word.strip() for word in text.split(","))
    if not set(names) <= set(_SCHEMES) or len(set(names)) != len(names):
        raise UsageError(f"--compare {text}", allowed=f"some of {', '.join(_SCHEMES)}, each once")
    return names


def make_variants(
    model: Path,
    names: Sequence[str],
    folder: Path,
    data: Path | None = None,
    progress: Progress = silent,
) -> Variants:
    """Write each precision of a float model into a folder, and the samples to judge them by.

    Args:
        model: of any format that holds floats.
        data: samples, of which those with a split of their own or a part calibrate int8; None:
            random ones calibrate, which is good for times alone.

    Raises:
        UnsupportedError: the model is quantized already.
        EdgepackError: a conversion failed.
    """
    source = as_tflite(model, progress=progress).path.read_bytes()
    sources = _sources(source, data)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    test = sources.test
    for name in names:
        scheme = _SCHEMES[name]
        path = folder / f"{model.stem}-{name}.tflite"
        progress("variants", None, name)
        if scheme is None:
            path.write_bytes(source)
        else:
            recipe = QuantizeRecipe(scheme=scheme)
            outcome = quantize_float(source, sources, recipe, progress=progress)
            path.write_bytes(outcome.data)
            if scheme == "int8" and outcome.split.evaluation is not None:
                test = outcome.split.evaluation.samples
        made.append(path)
    return Variants(tuple(made), None if data is None else _write(test, folder, model.stem))


def _write(samples: Samples, folder: Path, stem: str) -> Path:
    path = folder / f"{stem}-samples.npz"
    # as the float model takes them: every precision quantizes them for itself
    named = {f"input_{i}": a.astype(np.float32) for i, a in enumerate(samples.inputs)}
    if samples.labels is not None:
        named["y"] = samples.labels
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **named)
    return path


def _sources(model: bytes, data: Path | None) -> Sources:
    parsed = parse_tflite(model, "the float model")
    graph = parsed.subgraphs[0]
    inputs = tuple(tensor_spec(graph.tensors[i]) for i in graph.inputs)
    if any(spec.dtype.numpy != np.float32 for spec in inputs):
        raise UnsupportedError(
            "--compare makes precisions of a float model, and this one takes "
            f"{', '.join(spec.dtype.value for spec in inputs)}",
            next_step="name the models themselves: edgepack bench A.tflite B.tflite --phone auto",
        )
    if data is not None:
        return read_sources(data, inputs)
    generator = np.random.default_rng(0)
    arrays = tuple(
        generator.uniform(-1.0, 1.0, (_RANDOM, *spec.shape[1:])).astype(np.float32)
        for spec in inputs
    )
    samples = Samples(arrays)
    return Sources(samples, samples, True, "random (seed 0)")
