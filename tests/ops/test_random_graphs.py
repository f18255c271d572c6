"""Properties of random graphs: same bytes as TFLM in numpy and in C, and a memory plan that holds.

`make test` draws a few graphs from fixed seeds, the slow tests thousands.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgepack.emit.program import Program, build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.memory.check import check_plan
from edgepack.ops.evaluate import evaluate
from edgepack.ops.shared.kernel import Isa
from edgepack.types import Array
from tests.c_batch import Case, build_c
from tests.ops.random_graph import FEATURES, cases
from tests.oracles import run_tflm

BATCH = 20
PATTERNS = (0xA5, 0x5A)  # a byte that is written differs from at least one of them
COMMON = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# A batch costs a compiler run: what failed is printed whole instead of being shrunk.
BATCHED = settings(COMMON, phases=[Phase.explicit, Phase.generate])


def batches() -> st.SearchStrategy[list[Case]]:
    """Lists of cases, without hypothesis' first choice: the simplest graph again and again."""
    found = st.lists(cases(), min_size=BATCH, max_size=BATCH)
    return found.filter(lambda batch: len({case.model for case in batch}) > BATCH // 2)


def _outputs(case: Case, sample: Sequence[Array]) -> list[Array]:
    module = load_tflite(case.model)
    values = evaluate(module, sample)
    return [values[i] for i in module.main.outputs]


def _same(where: str, got: Sequence[Array], expected: Sequence[Array]) -> None:
    assert len(got) == len(expected), where
    for slot, (a, e) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_array_equal(a, e, err_msg=f"output {slot} of {where}")


def _check_reference(case: Case) -> None:
    """numpy equals TFLM, and the plan passes the independent checker."""
    for sample in case.samples:
        _same(case.id, _outputs(case, sample), run_tflm(case.model, sample))
    for features in FEATURES:
        program = build_program(load_tflite(case.model), Isa(features))
        for graph in program.graphs:
            check_plan(graph.graph, graph.lowered, graph.plan)


def _check_generated(batch: Sequence[Case]) -> None:
    """The C computes TFLM's bytes, whatever was in the arena, and uses the arena to its end."""
    with tempfile.TemporaryDirectory() as folder:
        built = build_c(batch, Path(folder))
        results = [built.run(fill) for fill in PATTERNS]
    for number, (case, program) in enumerate(zip(batch, built.programs, strict=True)):
        for sample_number, sample in enumerate(case.samples):
            expected = run_tflm(case.model, sample)
            for result in results:
                _same(case.id, result.outputs[number][sample_number], expected)
        used = max(result.high_water[number] for result in results)
        written, rounded = _planned_end(program)
        assert written <= used <= program.arena_bytes, f"{used} bytes used by {case.id}"
        assert program.arena_bytes == rounded, case.id


def _planned_end(program: Program) -> tuple[int, int]:
    """The end of the tensors, which are written whole, and of everything, rounded as arenas are.

    Scratch memory is reserved but a kernel need not write all of it.
    """
    plan = program.main.plan
    ends = [(b, at + b.size) for b, at in zip(plan.buffers, plan.offsets, strict=True)]
    written = max(end for b, end in ends if b.scratch_of is None)
    return written, max(-(-max(end for _, end in ends) // 16) * 16, 16)


@pytest.mark.needs_oracle
@settings(COMMON, max_examples=25)
@given(cases())
def test_numpy_equals_tflm(case: Case) -> None:
    _check_reference(case)


@pytest.mark.needs_oracle
@settings(BATCHED, max_examples=1)
@given(batches())
def test_generated_c_equals_tflm(batch: list[Case]) -> None:
    _check_generated(batch)


@pytest.mark.slow
@pytest.mark.needs_oracle
@pytest.mark.timeout(1800)
@settings(COMMON, max_examples=3000, derandomize=False)
@given(cases())
def test_numpy_equals_tflm_at_length(case: Case) -> None:
    _check_reference(case)


@pytest.mark.slow
@pytest.mark.needs_oracle
@pytest.mark.timeout(3600)
@settings(BATCHED, max_examples=100, derandomize=False)
@given(batches())
def test_generated_c_equals_tflm_at_length(batch: list[Case]) -> None:
    _check_generated(batch)
