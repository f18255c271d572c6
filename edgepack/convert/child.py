"""What runs in the child process: open, convert, rewrite, write, compare."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgepack.convert.base import Request, Source, Stages
from edgepack.convert.check import check_result
from edgepack.convert.flatbuffer import read_model
from edgepack.convert.layout_count import count_transposes
from edgepack.convert.outputs import OUTPUTS, QUANTIZED_TOLERANCE, Output
from edgepack.convert.parity import LiteRt, compare, random_samples, real_samples
from edgepack.convert.report import Parity
from edgepack.convert.rewrites.table import Applied, rewrite
from edgepack.errors import ConversionError
from edgepack.models.progress import Progress
from edgepack.models.tflite_file import operator_name

RESULT_NAME = "model"


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: convert one model. Arguments: the fields of `Request`. Returns a report's parts."""
    request = Request(**arguments)
    stages = Stages(progress)
    output = OUTPUTS[request.to]
    source = open_source(request, stages)
    with stages("convert", "converting to TFLite"):
        converted = source.to_tflite()
    with stages("rewrite", "looking for what can be rewritten"):
        data, applied = rewrite(converted)
        warnings = [*source.warnings, *check_result(data)]
    parity: list[Parity] = []
    with stages("write", f"writing {request.to}"):
        if output.write is None:
            written = data
        else:
            made = output.write(data)
            written = made.data
            warnings += made.warnings
            parity += made.parity
        path = Path(request.folder) / f"{RESULT_NAME}{output.suffix}"
        path.write_bytes(written)
    if output.is_tflite:
        with stages("compare", "running source and result"):
            parity = _compare(request, source, written)
    warnings += _judge(parity, output, _is_quantized(data))
    return {
        "source": source.description,
        "nodes": {
            "source": source.nodes,
            "converted": sum(_operators(converted).values()),
            "final": sum(_operators(data).values()),
        },
        "operators": dict(sorted(_operators(data).items())),
        "transposes": count_transposes(data),
        "rewrites": [_as_dict(entry) for entry in applied],
        "seconds": {name: round(value, 3) for name, value in stages.seconds.items()},
        "parity": [asdict(entry) for entry in parity],
        "warnings": list(dict.fromkeys(warnings)),
    }


def open_source(request: Request, stages: Stages) -> Source:
    """Open a model of any format."""
    module, _, function = request.opener.partition(":")
    source: Source = getattr(importlib.import_module(module), function)(request, stages)
    return source


def _compare(request: Request, source: Source, data: bytes) -> list[Parity]:
    runner = LiteRt(data)
    found = [compare("random", random_samples(source.inputs), source, runner)]
    if request.data is not None:
        samples = real_samples(Path(request.data), source.inputs)
        found.append(compare("real", samples, source, runner))
    return [entry for entry in found if entry is not None]


def _is_quantized(data: bytes) -> bool:
    """Whether an input or output of a model is stored in integers with a scale."""
    main = read_model(data).subgraphs[0]
    quants = [main.tensors[int(i)].quantization for i in (*main.inputs, *main.outputs)]
    return any(q is not None and q.scale is not None and len(q.scale) > 0 for q in quants)


def _judge(parity: list[Parity], output: Output, is_quantized: bool) -> list[str]:
    """What to say of the differences.

    Raises:
        ConversionError: they are too large to be rounding.
    """
    if not parity:
        return ["the source could not be run here, so the result was not compared with it"]
    worst = max(parity, key=lambda entry: entry.max_relative)
    tolerance = output.tolerance
    if tolerance is not None and is_quantized:
        tolerance = max(tolerance, QUANTIZED_TOLERANCE)
    if tolerance is not None and worst.max_relative > tolerance:
        raise ConversionError(
            f"the converted model does not compute what the source does: {worst}",
            allowed=f"{tolerance:g} of the outputs' range",
            next_step="report this model as a defect of the converter",
        )
    if worst.max_relative > output.notable:
        return [f"source and result differ: {worst}"]
    return []


def _operators(data: bytes) -> Counter[str]:
    model = read_model(data)
    return Counter(operator_name(model, o) for g in model.subgraphs for o in g.operators or [])


def _as_dict(applied: Applied) -> dict[str, Any]:
    return asdict(applied)
