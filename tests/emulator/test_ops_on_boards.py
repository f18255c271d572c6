"""The top rung of the ladder: the ops on emulated boards give the bytes that numpy gives.

The quick tests share the portable kernels out among the boards, so that each runs somewhere, and
every board runs the kernels of its instruction set. The slow tests run every kernel on every board.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from edgepack.ops.shared.kernel import Isa
from edgepack.targets import Kind, Target, load_target, load_targets
from tests.c_batch import Case
from tests.emulator.case_choice import (
    by_size,
    cover,
    distinct,
    kernels_of,
    largest_arena,
    program_of,
    written_for,
)
from tests.emulator.case_firmware import BoardCase, run_on_board
from tests.emulator.test_ports import skip_if_missing
from tests.ops.collection import Collected
from tests.ops.test_random_graphs import BATCHED, batches

BOARDS = [target.id for target in load_targets() if target.kind is Kind.EMULATED]
_PER_IMAGE = 60
_ADDED = "INT8 (1, 4, 4, 3)+(1, 4, 4, 3)"  # cases of tests/ops/test_add.py, of one shape

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900)]  # a busy computer collects slowly


@pytest.fixture(scope="module")
def portable(ladder_cases: list[Collected]) -> dict[str, Collected]:
    """Portable kernel -> a case that calls it and has room on the smallest board."""
    smallest = min(largest_arena(load_target(name)) for name in BOARDS)
    return cover(by_size(ladder_cases), Isa(), smallest)


def _run(cases: Sequence[Collected], target: Target, folder: Path) -> set[str]:
    """Run the cases on a board, a few to an image; returns the kernels that ran."""
    made = [BoardCase.of(case, number, target) for number, case in enumerate(cases)]
    for start in range(0, len(made), _PER_IMAGE):
        run_on_board(made[start : start + _PER_IMAGE], target, folder / f"image{start}")
    return {kernel for case in made for kernel in kernels_of(case.program)}


@pytest.mark.parametrize("name", BOARDS)
def test_a_share_of_the_ops(
    name: str, ladder_cases: list[Collected], portable: dict[str, Collected], tmp_path: Path
) -> None:
    skip_if_missing(name)
    target = load_target(name)
    mine = list(written_for(by_size(ladder_cases), target))
    special = cover(mine, Isa(frozenset(target.isa)), largest_arena(target))
    own = {kernel: case for kernel, case in special.items() if kernel not in portable}
    share = sorted(portable)[BOARDS.index(name) :: len(BOARDS)]
    ran = _run(distinct([*own.values(), *(portable[kernel] for kernel in share)]), target, tmp_path)
    assert own.keys() <= ran
    if mine:
        assert own, f"{name} has kernels of its own, but no case reaches them"


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_all_ops(
    name: str, ladder_cases: list[Collected], portable: dict[str, Collected], tmp_path: Path
) -> None:
    """Every kernel, and every case of the kernels of the board's instruction set."""
    skip_if_missing(name)
    target = load_target(name)
    isa, room = Isa(frozenset(target.isa)), largest_arena(target)
    chosen = cover(by_size(ladder_cases), isa, room)
    mine = [c for c in written_for(ladder_cases, target) if program_of(c, isa).arena_bytes <= room]
    ran = _run(distinct([*chosen.values(), *mine]), target, tmp_path)
    assert ran >= chosen.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_random_graphs(name: str) -> None:
    """Graphs of several ops: kernels that hand their memory on to each other."""
    skip_if_missing(name)
    target = load_target(name)

    @settings(BATCHED, max_examples=1)
    @given(batches())
    def draw(batch: list[Case]) -> None:
        room = largest_arena(target)
        cases = [Collected(case, "random graph", 0.0, 0.0) for case in batch]
        made = [BoardCase.of(case, number, target) for number, case in enumerate(cases)]
        fitting = [case for case in made if case.program.arena_bytes <= room]
        assert len(fitting) > len(made) // 2
        with tempfile.TemporaryDirectory() as folder:
            run_on_board(fitting, target, Path(folder) / "image")

    draw()


def test_what_is_wrong_shows(ladder_cases: list[Collected], tmp_path: Path) -> None:
    """Other bytes than numpy's, and a kernel that writes behind the arena."""
    target = load_target("mps2-an386")
    first, second = [c for c in ladder_cases if c.case.id.startswith(_ADDED)][:2]
    good = BoardCase.of(first, 0, target)
    with pytest.raises(AssertionError, match=r"mps2-an386: INT8 .* differ, first at index"):
        run_on_board([replace(good, collected=second)], target, tmp_path / "other")
    macro, size = "EP_CASE0_ARENA_BYTES ", good.program.arena_bytes
    assert f"{macro}{size}u" in good.text.header
    header = good.text.header.replace(f"{macro}{size}u", f"{macro}{size - 16}u")
    small = replace(good, text=replace(good.text, header=header))
    with pytest.raises(AssertionError, match="written behind the arena"):
        run_on_board([small], target, tmp_path / "small")
