"""The whole bench firmware on the images of real boards, driven over the model of their UART."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgepack.bench.session import Session
from edgepack.errors import DeviceSilentError
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target
from tests.emulator.real_board import BOARDS, boot, make_chip
from tests.emulator.unicorn_machine import Machine
from tests.oracles import run_tflm
from tests.small_models import small_cnn

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.needs_oracle,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]

QUICK = ("pico", "teensy41")  # the boards in `make test`


class MachineLink:
    """A byte link to a machine: it executes while the host waits."""

    def __init__(self, machine: Machine, baud: int) -> None:
        self.machine = machine
        self.name = machine.target.id
        self.baud = baud
        self.taken = 0

    def read(self, timeout: float) -> bytes:
        chip = self.machine.chip
        # a slice is 4000 instructions; `timeout` is in seconds of another clock
        for _ in range(4000):
            if len(chip.tx) > self.taken:
                break
            self.machine.run_slice()
        else:
            raise DeviceSilentError(f"{self.name} said nothing in 16 million instructions")
        data = bytes(chip.tx[self.taken :])
        self.taken = len(chip.tx)
        return data

    def write(self, data: bytes, timeout: float) -> None:
        assert self.machine.chip.baud() == pytest.approx(self.baud, rel=0.02)
        self.machine.chip.rx.extend(data)

    def set_baud(self, baud: int) -> None:
        self.baud = baud

    def close(self) -> None:
        """There is no port."""


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BOARDS],
)
def test_inferences_are_those_of_tflm(name: str, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    target = load_target(name)
    manifest = build_project(BuildRequest(model, name), tmp_path / "p")
    machine = Machine(tmp_path / "p", manifest, target, make_chip(name))
    boot(machine)
    machine.run_until(lambda: b"m-init-done" in machine.chip.tx)
    assert target.uart.baud is not None and target.uart.max_baud is not None
    session = Session(MachineLink(machine, target.uart.baud))
    session.verify(
        manifest.build_id,
        [t.bytes for t in manifest.model.inputs],
        [t.bytes for t in manifest.model.outputs],
    )
    assert (session.counter.kind, session.counter.hz) == ("cycles", target.clock_hz)
    assert session.raise_baud(target.uart.max_baud) == target.uart.max_baud
    rng = np.random.default_rng(5)
    for _ in range(3):
        sample = rng.integers(-128, 128, (1, 6, 6, 1)).astype(np.int8)
        result = session.infer(sample.tobytes())
        assert result.outputs == run_tflm(small_cnn(), [sample])[0].tobytes()
    peaks = session.memory()
    assert 0 < peaks.stack_peak < target.stack.bytes
