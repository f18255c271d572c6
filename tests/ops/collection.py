"""Every case of the ladder without climbing it: what the boards run, what covers an op's types.

`collect_cases` runs the tests of this folder in a child with an environment variable set; `climb`
then stores its cases instead of checking them. So a case that a test makes is known here as well,
with no list to keep.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest import ExitCode

from edgepack.runner import run
from tests.c_batch import Case

VARIABLE = "EDGEPACK_COLLECT_CASES"
COLLECT_SECONDS = 240.0


@dataclass(frozen=True, eq=False)
class Collected:
    """A case, the test that makes it, and the tolerance (relative, absolute) of its floats."""

    case: Case
    test: str
    relative: float
    absolute: float


def stores_cases() -> bool:
    """Whether this process collects cases."""
    return VARIABLE in os.environ


def store(cases: Sequence[Case], relative: float, absolute: float) -> None:
    """Append the cases of one `climb` to the collection."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    with Path(os.environ[VARIABLE]).open("ab") as file:
        for case in cases:
            pickle.dump(Collected(case, test, relative, absolute), file)


def collect_cases(folder: Path) -> list[Collected]:
    """Every case of tests/ops, in the order of the tests.

    Args:
        folder: where the collection is kept; processes that name the same one collect once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "cases.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_file():
            _collect(folder).replace(done)
    cases = []
    with done.open("rb") as file:
        while file.peek(1):
            cases.append(pickle.load(file))
    return cases


def _collect(folder: Path) -> Path:
    tests = Path(__file__).parent
    path = folder / "unfinished.pickle"
    path.write_bytes(b"")
    result = run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "no:xdist", "-m", "not slow and not needs_tf"),
            f"--basetemp={folder / 'tests'}",
            f"--ignore={tests / 'test_random_graphs.py'}",  # it has no cases to climb
            str(tests),
        ],
        timeout=COLLECT_SECONDS,
        cwd=tests.parent.parent,
        env={VARIABLE: str(path), "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        what="collect the cases of tests/ops",
    )
    # a test that fails there is reported where it belongs; the cases of all others are here
    assert result.returncode in (ExitCode.OK, ExitCode.TESTS_FAILED), result.tail()
    return path
