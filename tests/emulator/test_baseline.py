"""Instructions, flash and RAM of committed models: more than 1 % worse than recorded fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import baseline
from benchmarks.measure import Figures, measure

RECORDED = {"instructions": 1000, "flash": 500, "ram": 300, "static": 0, "arena": 200, "stack": 100}
SAME = Figures(1000.0, 10, 500, None, 300, 0, 200, 100, 0)


def test_a_percent_is_the_limit() -> None:
    assert baseline.changes(RECORDED, SAME) == ([], [])
    assert baseline.changes(RECORDED, replace(SAME, instructions=1010.0, flash=505))[0] == []
    worse, better = baseline.changes(RECORDED, replace(SAME, instructions=1011.0, ram=296))
    assert [str(change) for change in worse] == ["instructions 1,000 -> 1,011 (+1.10%)"]
    assert [str(change) for change in better] == ["ram 300 -> 296 (-1.33%)"]


def test_every_entry_is_recorded() -> None:
    assert list(baseline.read()) == [entry.key for entry in baseline.ENTRIES]


@pytest.mark.emulator
@pytest.mark.needs_oracle
@pytest.mark.parametrize("entry", baseline.ENTRIES, ids=lambda entry: entry.key)
def test_nothing_got_worse(
    entry: baseline.Entry, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    model = entry.model()
    if model is None:
        pytest.skip(f"{entry.name} lies in the folder of real models: set EDGEPACK_DATA")
    recorded = baseline.read()[entry.key]
    if recorded["compiler"] != baseline.compiler(entry.target):
        pytest.skip(f"the baseline was measured with {recorded['compiler']}")
    figures = measure(model, entry.target, tmp_path, full_image=False)
    assert figures.mismatched_bytes == 0
    worse, better = baseline.changes(recorded, figures)
    for change in better:
        record_property("note", f"{entry.key}: {change}; record it: {baseline.UPDATE}")
    assert not worse, (
        f"{entry.key} got worse: {'; '.join(map(str, worse))}. "
        f"RAM consists of: {baseline.parts(recorded, figures)}. "
        f"Where that is meant: {baseline.UPDATE}"
    )
