"""The ladder's cases as a release build compiles them.

The other rungs run under the sanitizers at -O1, where GCC leaves alone much of what it would take
as undefined (aliasing, overlapping pointers, loops that "cannot" overflow) at the levels that a
firmware is built with. Here every case runs as -O3 and -Os make it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgepack.ops.shared.kernel import Isa
from tests.c_batch import run_c
from tests.ops.collection import Collected
from tests.ops.ladder import Tolerance, compare, numpy_outputs

_PER_PROGRAM = 40
_QUICK_EVERY = 50  # the quick test takes each 50th case

COMPILERS = [
    ("gcc", "-std=c99", "-O3"),
    ("gcc", "-std=c99", "-Os"),
    ("clang", "-std=c99", "-O3"),
]


def _check(cases: list[Collected], compiler: tuple[str, ...], folder: Path) -> None:
    # kernels for different cores may not stand in one program: names stand for another function
    by_isa: dict[Isa, list[Collected]] = {}
    for collected in cases:
        by_isa.setdefault(collected.case.isa, []).append(collected)
    parts = [
        alike[start : start + _PER_PROGRAM]
        for alike in by_isa.values()
        for start in range(0, len(alike), _PER_PROGRAM)
    ]
    for number, part in enumerate(parts):
        work = folder / f"program{number}"
        work.mkdir()
        outputs = run_c([c.case for c in part], work, compiler=compiler, sanitize=False)
        for collected, got in zip(part, outputs, strict=True):
            tolerance = Tolerance(collected.relative, collected.absolute, "as at -O1")
            for sample, expected in enumerate(numpy_outputs(collected.case)):
                where = f"{' '.join(compiler)}: {collected.case.id} ({collected.test}), {sample}"
                compare(where, got[sample], expected, tolerance)
        shutil.rmtree(work)


def test_some_cases(ladder_cases: list[Collected], tmp_path: Path) -> None:
    _check(ladder_cases[::_QUICK_EVERY], COMPILERS[0], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("compiler", COMPILERS, ids=" ".join)
def test_all_cases(
    compiler: tuple[str, ...], ladder_cases: list[Collected], tmp_path: Path
) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    _check(ladder_cases, compiler, tmp_path)
