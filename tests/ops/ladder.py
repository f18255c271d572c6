"""The ladder every op climbs: numpy reference == generated C == TFLM's own interpreter.

Integers must agree in every byte. Floats agree within a named tolerance, which covers the order of
summation and the C library's transcendental functions; nothing else may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgepack.bench.model_facts import model_facts
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate, initial_state
from edgepack.types import Array
from tests.c_batch import Case, run_c
from tests.ops.collection import store, stores_cases
from tests.oracles import run_litert, run_litert_sequence, run_tflm, run_tflm_sequence


@dataclass(frozen=True)
class Tolerance:
    """|actual - expected| <= absolute + relative * |expected|, and why that much."""

    relative: float
    absolute: float
    reason: str


# float32 has 24 bits of mantissa; sums of up to a few thousand products in another order, or one
# libm call against another, differ by a few units in the last place.
FLOAT32 = Tolerance(2e-6, 1e-6, "order of float32 additions and libm differ")
EXACT = Tolerance(0.0, 0.0, "integers and moved bytes")

Oracle = Literal["tflm", "litert", "none"]


def climb(
    cases: Sequence[Case],
    work: Path,
    *,
    tolerance: Tolerance = FLOAT32,
    oracle: Oracle = "tflm",
) -> None:
    """Check all three rungs for every case.

    Args:
        tolerance: for float outputs; integer and bool outputs always compare exactly.
        oracle: who else wrote an interpreter for this op: TFLM where it has the op, LiteRT's
            reference kernels where only they do.
    """
    if stores_cases():
        store(cases, tolerance.relative, tolerance.absolute)
        return
    compiled = run_c(cases, work)
    for case, outputs in zip(cases, compiled, strict=True):
        theirs = _oracle_outputs(case, oracle)
        for number, (expected, got) in enumerate(zip(numpy_outputs(case), outputs, strict=True)):
            where = f"{case.id}, sample {number}"
            if theirs:
                compare(f"{where}: numpy against {oracle}", expected, theirs[number], tolerance)
            compare(f"{where}: generated C against numpy", got, expected, tolerance)


def numpy_outputs(case: Case) -> Iterator[list[Array]]:
    """What the numpy references compute for every sample."""
    module = load_tflite(case.model, name=case.id)
    state = initial_state(module)
    for sample in case.samples:
        values = evaluate(module, sample, state)
        yield [
            values[i] if i in values else _const(module.main.tensors[i].data)
            for i in module.main.outputs
        ]


def _oracle_outputs(case: Case, oracle: Oracle) -> list[list[Array]]:
    """What the oracle computes for every sample, in a row where the model carries state."""
    if oracle == "none":
        return []
    if model_facts(case.model).stateful:
        return (run_tflm_sequence if oracle == "tflm" else run_litert_sequence)(
            case.model, case.samples
        )
    run = run_tflm if oracle == "tflm" else run_litert
    return [run(case.model, sample) for sample in case.samples]


def _const(data: Array | None) -> Array:
    assert data is not None
    return data


def compare(
    where: str, actual: Sequence[Array], expected: Sequence[Array], tolerance: Tolerance
) -> None:
    """Raise AssertionError with the first element that differs; `where` starts the message."""
    assert len(actual) == len(expected), where
    for slot, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert a.size == e.size, f"{where}, output {slot}: {a.shape} against {e.shape}"
        assert a.dtype == e.dtype, f"{where}, output {slot}: {a.dtype} against {e.dtype}"
        flat_a, flat_e = a.reshape(-1), e.reshape(-1)
        if a.dtype.kind == "f":
            wrong = ~np.isclose(
                flat_a, flat_e, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True
            )
        else:
            wrong = flat_a != flat_e
        if wrong.any():
            first = int(np.argmax(wrong))
            raise AssertionError(
                f"{where}, output {slot}: {int(wrong.sum())} of {a.size} differ, first at index "
                f"{first}: actual {flat_a[first]!r}, expected {flat_e[first]!r}"
            )
