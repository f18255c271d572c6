"""The results on disk and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.onnx_nodes.run import Case

DOC = Path(__file__).parents[2] / "docs" / "onnx_nodes.md"
RESULTS = Path(__file__).parent / "results.json"
_INTRODUCTION = """# ONNX node tests

The test cases of the onnx package for operators that TFLite Micro can express, converted by
edgepack and run by its numpy evaluator (the meaning of what the compiler emits), as its generated C
on the host under the sanitizers, and by TensorFlow Lite Micro's own interpreter. Outputs must equal
the expected ones within each case's own tolerances. Written by `python -m benchmarks.onnx_nodes`.
"""


def read() -> list[Case]:
    """The results of earlier runs."""
    if not RESULTS.is_file():
        return []
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["cases"]
    return [Case(**row) for row in rows]


def write(found: Iterable[Case]) -> None:
    """Keep the results, one case per line."""
    import onnx

    rows = [
        json.dumps({key: value for key, value in asdict(case).items() if value})
        for case in sorted(found, key=lambda case: (case.operator, case.name))
    ]
    text = ",\n".join(rows)
    RESULTS.write_text(
        f'{{"onnx": "{onnx.__version__}", "cases": [\n{text}\n]}}\n', encoding="utf-8"
    )


def merge(old: Iterable[Case], new: Sequence[Case]) -> list[Case]:
    """Old results with those of the operators that ran again replaced."""
    again = {case.operator for case in new}
    return [*(case for case in old if case.operator not in again), *new]


def table(found: Iterable[Case]) -> str:
    """The page, one row per operator."""
    rows: dict[str, list[Case]] = {}
    foreign: dict[str, int] = {}
    for case in found:
        if case.types:
            foreign[case.types] = foreign.get(case.types, 0) + 1
            continue
        rows.setdefault(case.operator, []).append(case)
    every = [case for group in rows.values() for case in group]
    version = json.loads(RESULTS.read_text(encoding="utf-8"))["onnx"]
    skipped = "; ".join(f"{text} ({count})" for text, count in sorted(foreign.items()))
    lines = [
        _INTRODUCTION,
        f"With onnx {version}, of {len(every)} cases of {len(rows)} operators "
        f"**{_converted(every)} convert, {_count(every, 'numpy')} pass in numpy, "
        f"{_count(every, 'c')} in C, {_count(every, 'tflm')} in TFLite Micro**.",
        "",
        f"{sum(foreign.values())} more cases are not counted, as TFLite Micro computes nothing on "
        f"such data: {skipped}.",
        "",
        "| operator | cases | converted | numpy | C | TFLite Micro | why others do not (cases) |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for operator, group in sorted(rows.items()):
        figures = [_converted(group), *(_count(group, name) for name in ("numpy", "c", "tflm"))]
        numbers = " | ".join(map(str, figures))
        lines.append(f"| {operator} | {len(group)} | {numbers} | {_reasons(group)} |")
    return "\n".join(lines) + "\n"


def _converted(group: Sequence[Case]) -> int:
    return sum(1 for case in group if not case.converted)


def _count(group: Sequence[Case], engine: str) -> int:
    return sum(1 for case in group if not case.converted and not getattr(case, engine))


def _reasons(group: Sequence[Case]) -> str:
    counts: dict[str, int] = {}
    for case in group:
        if case.why:
            where = "" if case.converted or case.numpy or case.c else "TFLite Micro: "
            text = case.why.replace("|", "/").replace(case.name, "...").replace("\n", " ")
            counts[where + text[:90]] = counts.get(where + text[:90], 0) + 1
    return "; ".join(f"{text} ({count})" for text, count in sorted(counts.items()))
