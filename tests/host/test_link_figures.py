"""The link's figures on the compiled firmware: nothing lost or leaked in 10,000 inferences, and
most of a serial line's byte rate for data."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.bench.session import Session, open_session
from edgepack.link.fake import FakeDevice, FakeModel
from edgepack.link.fake_server import FakeServer
from edgepack.link.framed import LinkTiming
from edgepack.link.proxy import Address, FaultProxy
from tests.host import stub

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads /proc"),
]

_GOAL_EFFICIENCY = 0.85
_RATE = 50_000  # bytes a second: a line of 500,000 baud
_ATTEMPTS = 3  # of a timed figure: other programs on this computer delay it
_INFERENCES = 10_000
_SETTLED = 1_000  # by then every cache has its size
_HOST_GROWTH = 4 << 20  # bytes: an inference that leaked one of its inputs would take 13 MB
_DEVICE_GROWTH = 256 << 10  # bytes: the firmware allocates nothing

Note = Callable[[str, object], None]


def _resident(pid: int) -> int:
    """Bytes of memory of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.slow
def test_ten_thousand_inferences_without_a_loss_or_a_leak(
    tmp_path: Path, record_property: Note
) -> None:
    program = stub.build(tmp_path)
    numbers = random.Random(1)
    inputs = [numbers.randbytes(sum(stub.INPUTS)) for _ in range(50)]
    right = [b"".join(stub.compute(data)[-1]) for data in inputs]
    with (
        stub.running(program) as (url, child),
        open_session(url, timing=LinkTiming()) as session,
    ):
        session.start()
        started = time.monotonic()
        for number in range(_INFERENCES):
            if number == _SETTLED:
                before = _held(child.pid)
            result = session.infer(inputs[number % 50])
            assert result.outputs == right[number % 50], f"inference {number}"
        seconds = time.monotonic() - started
        after = _held(child.pid)
        # nothing was sent twice
        frames = session.traffic[0] / _INFERENCES / sum(stub.INPUTS)
        assert session.memory().rx_lost == 0
    host, device = after[0] - before[0], after[2] - before[2]
    text = (
        f"{_INFERENCES:,} inferences in {seconds:.0f} s, host {host / 1024:+,.0f} KiB, device "
        f"{device / 1024:+,.0f} KiB, descriptors {after[1] - before[1]:+d} and "
        f"{after[3] - before[3]:+d}, {frames:.3f} bytes sent per input byte"
    )
    record_property("note", f"one link: {text}")
    assert (after[1], after[3]) == (before[1], before[3])
    assert host < _HOST_GROWTH and device < _DEVICE_GROWTH
    assert frames < 1.03


def _held(device: int) -> tuple[int, int, int, int]:
    """Memory and descriptors of this process and of the device's."""
    own = os.getpid()
    return _resident(own), _descriptors(own), _resident(device), _descriptors(device)


def _efficiency(session: Session, data: bytes, outputs: int, count: int) -> float:
    """Share of a line's time that carried input and output bytes; best of some attempts."""
    shares = []
    session.infer(data)
    for _ in range(_ATTEMPTS):
        started = time.monotonic()
        for _ in range(count):
            session.infer(data)
        seconds = time.monotonic() - started
        shares.append(count * (len(data) + outputs) / (seconds * _RATE))
    return max(shares)


@pytest.mark.parametrize(("name", "size", "classes"), [("vww", 27_648, 2), ("ic", 3_072, 10)])
def test_bulk_inputs_get_most_of_a_serial_lines_rate(
    name: str, size: int, classes: int, record_property: Note
) -> None:
    """Inputs of the size that vww and ic have; the time of the inference itself is nil."""
    outputs = bytes(range(classes))
    model = FakeModel((size,), (classes,), lambda data: [[outputs]])
    data = random.Random(2).randbytes(size)
    with FakeServer(FakeDevice(model)) as server:
        address: Address = server.address
        with FaultProxy(lambda: address, rate=_RATE) as proxy, open_session(proxy.url) as session:
            share = _efficiency(session, data, classes, max(1, 20_000 // size))
    record_property("note", f"link efficiency, {name} inputs at {_RATE:,} B/s: {share:.1%}")
    assert _GOAL_EFFICIENCY <= share < 1.0


def test_the_compiled_firmware_gets_most_of_a_serial_lines_rate(
    tmp_path: Path, record_property: Note
) -> None:
    """1,507 bytes in and 2,512 bytes out for each inference, one after the other."""
    program = stub.build(tmp_path)
    data = random.Random(3).randbytes(sum(stub.INPUTS))
    with stub.running(program) as (url, _):
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        with FaultProxy(lambda: address, rate=_RATE) as proxy, open_session(proxy.url) as session:
            share = _efficiency(session, data, sum(stub.OUTPUTS), 10)
    record_property("note", f"link efficiency, both ways at {_RATE:,} B/s: {share:.1%}")
    assert _GOAL_EFFICIENCY <= share < 1.0
