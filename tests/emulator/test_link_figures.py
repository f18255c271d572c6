"""The link at emulated boards: how soon the first result is there, and how much of the raw byte
rate bulk data gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.bench.data import random_samples
from edgepack.bench.device import Job
from edgepack.bench.project import connect_project
from edgepack.bench.session import Session, open_session
from edgepack.flash import launch
from edgepack.link.frames import Reply, Request, encode_request
from edgepack.link.proxy import Address, FaultProxy
from edgepack.manifest import Manifest
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target

pytestmark = [pytest.mark.emulator, pytest.mark.needs_data]

_GOAL_SECONDS = 2.0
_GOAL_EFFICIENCY = 0.85
_ROUNDS = 2
_ATTEMPTS = 3  # of the start: other programs on this computer delay it
_SECONDS = 60.0

Note = Callable[[str, object], None]


def _build(real_data: Path, folder: Path, name: str, target: str) -> tuple[Path, Manifest]:
    model = real_data / "mlperf_tiny" / f"{name}_int8.tflite"
    return folder / "p", build_project(BuildRequest(model, target), folder / "p")


@pytest.mark.parametrize("target", ["netduinoplus2", "mps2-an386"])
def test_the_first_result_is_there_within_two_seconds(
    real_data: Path, tmp_path: Path, target: str, record_property: Note
) -> None:
    project, manifest = _build(real_data, tmp_path, "kws", target)
    payload = random_samples(manifest.model.inputs, 1).payload(0)
    seconds = []
    for _ in range(_ATTEMPTS):
        started = time.monotonic()
        with connect_project(project, manifest, load_target(target))() as device:
            next(iter(device.run([Job(0, payload)])))
            seconds.append(time.monotonic() - started)
    record_property("note", f"start to first result, kws on {target}: {min(seconds):.2f} s")
    assert min(seconds) < _GOAL_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate"), [("ic", 4_000), ("vww", 4_000)])
def test_bulk_data_gets_most_of_a_serial_lines_rate(
    real_data: Path, tmp_path: Path, name: str, rate: int, record_property: Note
) -> None:
    """A line slower than the emulator, whose own rate depends on what else this computer does.

    The note says what there is without that line: bytes of an input a second, and line ends a
    second, which the firmware only has to look at.
    """
    target = "mps2-an386"
    project, manifest = _build(real_data, tmp_path, name, target)
    data = random_samples(manifest.model.inputs, 1).payload(0)
    with launch(project, manifest, load_target(target)) as board:
        address: Address = ("127.0.0.1", int(board.url.rsplit(":", 1)[1]))
        with FaultProxy(lambda: address, rate=rate) as proxy, open_session(proxy.url) as device:
            device.start()
            share = max(_payload_rate(device, data) for _ in range(_ROUNDS)) / rate
        with FaultProxy(lambda: address) as proxy, open_session(proxy.url) as device:
            raw = max(_raw_rate(device, len(data)) for _ in range(_ROUNDS))
            free = max(_payload_rate(device, data) for _ in range(_ROUNDS))
    text = f"{share:.1%} of {rate:,} B/s; without a line {free:,.0f} B/s, line ends {raw:,.0f} B/s"
    record_property("note", f"link efficiency, {name} inputs into {target}: {text}")
    assert _GOAL_EFFICIENCY <= share < 1.0


def _raw_rate(device: Session, count: int) -> float:
    """Bytes a second of line ends, which the firmware reads and drops; ACK says that it is done."""
    client = device._client
    frame = encode_request(Request.INIT, client.next_sequence(), 0)
    return _rate(device, b"\n" * count + frame, count)


def _payload_rate(device: Session, data: bytes) -> float:
    """Bytes a second of an input that is only loaded: ACK says that every CRC was right."""
    burst = device._transfer.upload(data)
    return _rate(device, burst, len(data))


def _rate(device: Session, burst: bytes, count: int) -> float:
    client = device._client
    client.stream.drop()
    started = time.monotonic()
    client.link.write(burst, _SECONDS)
    reply = client.stream.next(_SECONDS)
    seconds = time.monotonic() - started
    assert reply is not None and reply.kind is Reply.ACK
    return count / seconds
