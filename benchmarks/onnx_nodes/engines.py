"""The converted cases in every runtime: numpy, generated C, TensorFlow Lite Micro.

The generated C of a batch of cases is one program, under the sanitizers (tests/c_batch.py); a case
that breaks its batch is found by halving it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.onnx_nodes.cases import equal
from edgepack.emit.program import build_program
from edgepack.errors import EdgepackError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate
from edgepack.ops.shared.kernel import Isa
from edgepack.types import Array
from tests.c_batch import Case as BatchCase
from tests.c_batch import run_c
from tests.oracles import InterpreterCrash, InterpreterRefusal, run_tflm

BATCH = 40
OTHER = "other values than expected"


@dataclass
class Model:
    """A converted case: the `.tflite`, its inputs, and what must come out."""

    name: str
    data: bytes = field(repr=False)
    inputs: list[Array]
    wanted: list[Array]
    test: Any


def verdict(model: Model, made: Sequence[Array]) -> str:
    """Empty where the outputs are the expected ones, else what is wrong."""
    graph = load_tflite(model.data).main
    for want, have, tensor in zip(model.wanted, made, graph.outputs, strict=True):
        if not equal(np.asarray(want), have, graph.tensors[tensor], model.test):
            return OTHER
    return ""


def in_numpy(model: Model) -> str:
    """Run the evaluator."""
    try:
        module = load_tflite(model.data)
        made = evaluate(module, model.inputs)
        graph = module.main
        results = [made[t] if t in made else graph.tensors[t].data for t in graph.outputs]
        return verdict(model, [np.asarray(r) for r in results])
    except EdgepackError as error:
        return _brief(error)
    except (ValueError, KeyError, IndexError) as error:  # a gap of the evaluator, for the table
        return f"the evaluator fails: {error}"[:160]


def in_c(models: Sequence[Model]) -> dict[str, str]:
    """Compile and run the generated C of many cases; what came of each."""
    found: dict[str, str] = {}
    ready = []
    for model in models:
        try:
            build_program(load_tflite(model.data), Isa())
            ready.append(model)
        except EdgepackError as error:
            found[model.name] = _brief(error)
    for start in range(0, len(ready), BATCH):
        found.update(_batch(ready[start : start + BATCH]))
    return found


def _batch(models: Sequence[Model]) -> dict[str, str]:
    cases = [BatchCase(model.name, model.data, [model.inputs]) for model in models]
    try:
        with tempfile.TemporaryDirectory() as work:
            outputs = run_c(cases, Path(work))
    except EdgepackError as error:
        if len(models) == 1:
            return {models[0].name: _brief(error)}
        half = len(models) // 2
        return {**_batch(models[:half]), **_batch(models[half:])}
    return {m.name: verdict(m, made[0]) for m, made in zip(models, outputs, strict=True)}


def in_tflm(model: Model) -> str:
    """Run TensorFlow Lite Micro's own interpreter."""
    try:
        return verdict(model, run_tflm(model.data, model.inputs))
    except InterpreterRefusal as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        return " ".join(lines[:2])[:160] or "refused"
    except InterpreterCrash:
        return "its process died"


def _brief(error: EdgepackError) -> str:
    return " ".join(error.message.split())[:160]
