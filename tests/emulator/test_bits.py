"""Layers with weights of one bit on emulated boards: every kernel on every kind of core."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.targets import load_target
from tests.emulator.case_choice import kernels_of
from tests.emulator.case_firmware import BoardCase, run_on_board
from tests.emulator.test_ports import skip_if_missing
from tests.ops.bit_models import chain
from tests.ops.collection import Collected
from tests.ops.test_bits import MORE, NETWORK_KERNELS, QUICK, network

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]
# one runs always, the others among the slow tests
BOARDS = ("netduinoplus2", "mps2-an385-m0plus", "mps2-an385", "mps3-an547", "virt-rv32")
KERNELS = {
    f"ep_bits_{kind}_{out}" for kind in ("xnor", "sums", "codes", "code_sums")
    for out in ("bits", "s8")
} | {"ep_bits_max_pool"}  # fmt: skip
_TOO_LARGE = "more words than a byte counts"  # its weights have 2 MB


@pytest.mark.parametrize(
    "name", [BOARDS[0], *(pytest.param(b, marks=pytest.mark.slow) for b in BOARDS[1:])]
)
def test_every_kernel(name: str, tmp_path: Path) -> None:
    skip_if_missing(name)
    target = load_target(name)
    cases = [network(form, seed) for seed, form in enumerate(NETWORK_KERNELS)]
    for number, (label, (shape, layers, _)) in enumerate({**QUICK, **MORE}.items()):
        if label != _TOO_LARGE:
            cases.append(chain(shape, layers, number, label))
    made = [
        BoardCase.of(Collected(case, "bits", 0.0, 0.0), number, target)
        for number, case in enumerate(cases)
    ]
    ran = set().union(*(kernels_of(case.program) for case in made))
    assert ran >= KERNELS
    run_on_board(made, target, tmp_path / "image")
