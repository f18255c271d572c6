"""Coded weights on emulated boards: every coding with the kernels of every kind of core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.ops.shared.coded import CODINGS
from edgepack.targets import load_target
from tests.emulator.case_choice import kernels_of
from tests.emulator.case_firmware import BoardCase, run_on_board
from tests.emulator.test_ports import skip_if_missing
from tests.ops.collection import Collected
from tests.ops.fast_kernels import conv, of_kind
from tests.ops.test_coded_kernels import Clustered, force
from tests.ops.weighted_model import Weighted

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]
BOARDS = {
    "mps2-an385-m0plus": "mul",
    "mps2-an385": "mul",
    "netduinoplus2": "dsp",
    "mps3-an547": "mve",
    "virt-rv32": "mul",
}
# large enough that no lowering prefers the portable kernel
DENSE = Clustered(
    "FULLY_CONNECTED", (1, 50), (30, 50), (1, 30), 30, 0, {}, narrow=True, per_channel=False
)


@pytest.mark.parametrize("name", BOARDS)
def test_every_coding(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    skip_if_missing(name)
    target = load_target(name)
    rng = np.random.default_rng(3)
    layers: list[Weighted] = [DENSE, of_kind(Clustered, conv("3x3 same"))]
    cases: list[BoardCase] = []
    for coding in CODINGS:
        force(monkeypatch, coding.kind)
        for layer in layers:
            case = Collected(layer.case(rng), "coded", 0.0, 0.0)
            cases.append(BoardCase.of(case, len(cases), target))
    kernels = set().union(*(kernels_of(case.program) for case in cases))
    core = BOARDS[name]
    assert kernels == {f"ep_{op}_s8_{core}_coded" for op in ("conv2d", "fully_connected")}
    run_on_board(cases, target, tmp_path / "image")
