"""Kernels that leave zeros out on emulated boards, with the instructions of each core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.targets import load_target
from tests.emulator.case_choice import kernels_of
from tests.emulator.case_firmware import BoardCase, run_on_board
from tests.emulator.test_ports import skip_if_missing
from tests.ops.collection import Collected
from tests.ops.test_sparse_kernels import conv_layers, dense_layers, force

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["mps2-an385-m0plus", "netduinoplus2", "virt-rv32"])
def test_every_form(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    skip_if_missing(name)
    force(monkeypatch)
    target = load_target(name)
    rng = np.random.default_rng(3)
    cases: list[BoardCase] = []
    for layer in (*dense_layers(), *conv_layers()):
        case = Collected(layer.case(rng), "sparse", 0.0, 0.0)
        cases.append(BoardCase.of(case, len(cases), target))
    kernels = set().union(*(kernels_of(case.program) for case in cases))
    assert kernels == {"ep_fully_connected_s8_sparse", "ep_conv2d_s8_sparse"}
    run_on_board(cases, target, tmp_path / "image")
