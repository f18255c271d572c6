"""ONNX's own node tests: a few of each kind here, all that docs/onnx_nodes.md claims when slow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx2tf", reason="pip install 'edgepack[onnx]'")

from benchmarks.onnx_nodes import OPERATORS, run_all

pytestmark = [
    pytest.mark.needs_tf,
    # the onnx package computes some expected values with warnings
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
QUICK = ("Conv", "Flatten", "Gemm", "HardSwish", "Relu", "Sigmoid", "Softmax", "Unsqueeze")
_ROW = re.compile(r"^\| (\w+) \| (\d+) \| \d+ \|", re.MULTILINE)


def test_a_few_of_the_node_tests() -> None:
    found = run_all(QUICK, limit=1)
    assert {case.operator for case in found} == set(QUICK)
    assert [case for case in found if case.why] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_as_many_node_tests_pass_as_the_page_says(checkout: Path, record_property: Any) -> None:
    page = (checkout / "docs/onnx_nodes.md").read_text(encoding="utf-8")
    claimed = {name: int(passed) for name, passed in _ROW.findall(page)}
    found = run_all(OPERATORS)
    passed = dict.fromkeys(claimed, 0)
    for case in found:
        passed[case.operator] = passed.get(case.operator, 0) + (not case.why)
    record_property("note", f"{sum(passed.values())} of {len(found)} ONNX node tests pass")
    assert {n: (passed[n], claimed[n]) for n in claimed if passed[n] < claimed[n]} == {}
