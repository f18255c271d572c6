"""ONNX's own node tests: a few of each kind here, all that docs/onnx_nodes.md claims when slow."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("onnx2tf", reason="pip install 'edgepack[onnx]'")

from benchmarks.onnx_nodes.cases import OPERATORS
from benchmarks.onnx_nodes.run import run_all
from benchmarks.onnx_nodes.table import DOC, read, table

pytestmark = [
    pytest.mark.needs_tf,
    # the onnx package computes some expected values with warnings
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
# those that onnx2tf converts as they are, that we split into parts, and that we write ourselves
QUICK = (
    "ArgMax", "Conv", "Flatten", "Gather", "HardSwish", "Identity", "LRN", "LayerNormalization",
    "PRelu", "Pad", "QLinearConv", "ReduceL2", "Relu", "Softmax",
)  # fmt: skip


@pytest.mark.needs_oracle
def test_a_few_of_the_node_tests() -> None:
    found = run_all(QUICK, limit=1)
    assert {case.operator for case in found} == set(QUICK)
    assert [case for case in found if not case.passed] == []
    in_tflm = {case.operator for case in found if not case.tflm}
    assert set(QUICK) - in_tflm == {"ArgMax", "Gather"}  # both of INT64, which TFLM has not


def test_the_page_shows_the_results() -> None:
    assert DOC.read_text(encoding="utf-8") == table(read())


@pytest.mark.slow
@pytest.mark.needs_oracle
@pytest.mark.timeout(3600)
def test_as_many_node_tests_pass_as_the_page_says(record_property: Any) -> None:
    claimed = {case.name: case for case in read()}
    found = run_all(OPERATORS)
    passed = sum(case.passed for case in found)
    record_property("note", f"{passed} of {len(found)} ONNX node tests pass")
    worse = [c.name for c in found if c.name in claimed and claimed[c.name].passed > c.passed]
    assert worse == []
