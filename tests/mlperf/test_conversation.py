"""What MLPerf Tiny's runner does with a port, step by step, against served boards."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial

from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import DeviceError, DeviceLostError
from edgepack.link.serial_url import open_link
from edgepack.link.text import TextClient
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.pipeline.serve import ServedBoard, serve
from edgepack.types import Array
from tests.host.test_bench_project import small_cnn
from tests.oracles import run_tflm
from tests.tflite_builder import ModelBuilder, spec

pytestmark = pytest.mark.needs_oracle

# results% prints six decimals
PRINTED = 0.5e-6 + 1e-9
# sums of a few float32 products in another order
FLOAT_TOLERANCE = 1e-5
VALUES = 8  # of the small autoencoders
TARGETS = ["host", pytest.param("netduinoplus2", marks=pytest.mark.emulator)]


def autoencoder(dtype: str) -> bytes:
    """A dense layer whose output has the input's size, as ad01's network has."""
    rng = np.random.default_rng(3)
    m = ModelBuilder()
    shape = (1, VALUES)
    if dtype == "FLOAT32":
        x = m.input("x", shape, dtype)
        w = m.const(rng.normal(0, 0.4, (VALUES, VALUES)), dtype)
        m.output(*m.op("FULLY_CONNECTED", [x, w, None], [spec(shape, dtype)]))
        return m.build()
    x = m.input("x", shape, dtype, 0.39, 89)
    w = m.const(rng.integers(-127, 128, (VALUES, VALUES)), dtype, 0.004)
    m.output(*m.op("FULLY_CONNECTED", [x, w, None], [spec(shape, dtype, 0.36, 96)]))
    return m.build()


def build(folder: Path, model: bytes, target: str, task: str) -> Path:
    path = folder / "small.tflite"
    path.write_bytes(model)
    build_project(BuildRequest(path, target, task=task), folder / "project")
    return folder / "project"


@pytest.fixture(scope="module", params=TARGETS)
def images(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedBoard]:
    """A classifier whose samples are pixels."""
    project = build(tmp_path_factory.mktemp("ic"), small_cnn(), request.param, "ic01")
    with serve(project) as served:
        yield served


@contextlib.contextmanager
def converse(port: str) -> Iterator[TextClient]:
    """Introduce oneself as the runner does: open, ask, close, and open again for the test."""
    with serial.Serial(port, 115200, timeout=20.0) as first:
        first.write(b"name%")
        # an empty line before it ends what a framed session may have left
        reply = first.read_until(b"m-ready\r\n").lstrip()
        assert reply == b"m-name-dut-[edgepack]\r\nm-ready\r\n"
    link = open_link(port)
    try:
        yield TextClient(link, 20.0)
    finally:
        link.close()


def answer(pixels: Array) -> Array:
    """The classifier's probabilities for pixels of 0 to 255."""
    quantized = (pixels.astype(np.int16) - 128).astype(np.int8).reshape(1, 6, 6, 2)
    return (run_tflm(small_cnn(), [quantized])[0].ravel().astype(np.float64) + 128) / 256


def pixels(seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, 72, dtype=np.uint8)


def test_pixels_become_probabilities(images: ServedBoard) -> None:
    with converse(images.port) as client:
        assert client.model() == "ic01"
        for seed in range(5):
            client.load(pixels(seed).tobytes())
            result = client.infer(1, 0)
            assert result.results == pytest.approx(answer(pixels(seed)), abs=PRINTED)
            assert result.elapsed_us >= 0


def test_the_result_of_many_runs_is_the_inputs_and_time_grows(images: ServedBoard) -> None:
    with converse(images.port) as client:
        times = []
        for count, warm in ((1, 0), (400, 0), (400, 10), (1600, 3)):
            client.load(pixels(9).tobytes())
            result = client.infer(count, warm)
            assert result.results == pytest.approx(answer(pixels(9)), abs=PRINTED)
            times.append(result.elapsed_us)
        assert times[0] < times[1] < times[3]
        if images.target.kind == "emulated":  # a counted time, which no other program disturbs
            assert times[2] == pytest.approx(times[1], rel=0.01)
            assert times[3] == pytest.approx(4 * times[1], rel=0.01)


def test_a_burst_without_waiting_loses_nothing(images: ServedBoard) -> None:
    """All commands of a load and an inference at once, as fast as the port takes them."""
    data = pixels(4).tobytes()
    pieces = [data[i : i + 31].hex() for i in range(0, len(data), 31)]
    burst = f"db load {len(data)}%" + "".join(f"db {piece}%" for piece in pieces) + "infer 1 0%"
    with serial.Serial(images.port, 115200, timeout=20.0) as port:
        port.write(burst.encode())
        replies = [port.read_until(b"m-ready\r\n").decode() for _ in range(len(pieces) + 2)]
    assert "m-load-done" in replies[-2]
    line = next(text for text in replies[-1].splitlines() if text.startswith("m-results-["))
    assert [float(v) for v in line[11:-1].split(",")] == pytest.approx(
        answer(pixels(4)), abs=PRINTED
    )


def test_the_buffer_is_printed_as_it_was_sent(images: ServedBoard) -> None:
    with converse(images.port) as client:
        client.load(pixels(2).tobytes())
        lines = client.command("db print")
        printed = "".join(line.removeprefix("m-buffer-").replace("-", "") for line in lines)
        assert bytes.fromhex(printed) == pixels(2).tobytes()


def test_a_used_up_input_is_asked_for_again(images: ServedBoard) -> None:
    with converse(images.port) as client:
        client.load(pixels(2).tobytes())
        client.infer(1, 0)
        with pytest.raises(DeviceError, match="load it again"):
            client.infer(1, 0)
        with pytest.raises(DeviceError, match="takes 72 bytes"):
            client.command("db load 71")


@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        ("INT8", "host"),
        ("FLOAT32", "host"),
        pytest.param("INT8", "netduinoplus2", marks=pytest.mark.emulator),
    ],
)
def test_an_anomaly_score(dtype: str, target: str, tmp_path: Path) -> None:
    """Floats in, the mean squared difference between them and the output out."""
    model = autoencoder(dtype)
    project = build(tmp_path, model, target, "ad01")
    with serve(project) as served, converse(served.port) as client:
        assert client.model() == "ad01"
        rng = np.random.default_rng(8)
        # the last one lies outside of what the int8 input can hold
        for spread in (1.0, 10.0, 1e4):
            sample = rng.normal(-10, spread, VALUES).astype("<f4")
            client.load(sample.tobytes())
            expected = score(model, dtype, sample)
            for _ in range(2):  # floats are kept apart: they can be run again
                (got,) = client.infer(3, 1).results
                assert got == pytest.approx(expected, rel=FLOAT_TOLERANCE, abs=1e-5)


def score(model: bytes, dtype: str, sample: Array) -> float:
    if dtype == "FLOAT32":
        output = run_tflm(model, [sample.reshape(1, -1)])[0].ravel()
    else:
        steps = sample / np.float32(0.39)
        nearest = np.trunc(steps + np.copysign(np.float32(0.5), steps)) + 89
        quantized = np.clip(nearest, -128, 127).astype(np.int8)
        output = (run_tflm(model, [quantized.reshape(1, -1)])[0].ravel() - 96.0) * np.float32(0.36)
    return float(np.mean((output.astype(np.float64) - sample) ** 2))


def test_a_frames_result_is_not_scored_against_an_old_sample(tmp_path: Path) -> None:
    project = build(tmp_path, autoencoder("INT8"), "host", "ad01")
    with serve(project) as served:
        with converse(served.port) as client:
            client.load(struct.pack(f"<{VALUES}f", *range(VALUES)))
            client.infer(1, 0)
        bench(BenchRequest(project, samples=1, port=served.port, host=False))
        with converse(served.port) as client, pytest.raises(DeviceError, match="No result"):
            client.command("results")


@pytest.mark.parametrize("target", TARGETS)
def test_the_banner_comes_within_two_seconds(target: str, tmp_path: Path) -> None:
    project = build(tmp_path, small_cnn(), target, "none")
    times = []
    for _ in range(3):
        started = time.monotonic()
        with serve(project):
            times.append(time.monotonic() - started)
    assert min(times) < 2.0


def test_a_board_that_dies_ends_the_block(tmp_path: Path) -> None:
    project = build(tmp_path, small_cnn(), "host", "none")
    with pytest.raises(DeviceLostError, match="killed by signal 9"), serve(project) as served:
        os.kill(served.board.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            served.check()
            time.sleep(0.01)


def edgepack(*words: str) -> list[str]:
    return [sys.executable, "-m", "edgepack", *words]


def test_a_command_beside_the_board(tmp_path: Path) -> None:
    project = build(tmp_path, small_cnn(), "host", "kws01")
    code = (
        "import os, serial, sys\n"
        "from serial.tools import list_ports\n"
        "(path,) = [p.device for p in list_ports.comports() if (p.vid, p.pid) == (0x483, 0x374b)]\n"
        "assert path == os.environ['EDGEPACK_PORT']\n"
        "with serial.Serial(path, timeout=5) as port:\n"
        "    port.write(b'profile%')\n"
        "    print(port.read_until(b'm-ready'))\n"
        "sys.exit(7)\n"
    )
    command = edgepack("serve", str(project), "--usb-id", "0483:374b", "--", sys.executable)
    done = subprocess.run([*command, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 7, done.stderr
    assert "m-model-[kws01]" in done.stdout


def test_ctrl_c_stops_the_board(tmp_path: Path) -> None:
    project = build(tmp_path, small_cnn(), "host", "none")
    # a shell's background job ignores SIGINT, and what it starts would inherit that
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = subprocess.Popen(
            edgepack("serve", str(project), "--json"), stdout=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, usual)
    try:
        assert child.stdout is not None
        lines: list[str] = []
        while "}\n" not in lines[-1:]:
            lines.append(child.stdout.readline())
            assert lines[-1]
        pid = next(int(line.split(":")[1].strip(" ,\n")) for line in lines if '"pid"' in line)
        os.kill(pid, 0)
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
    finally:
        child.kill()
        child.communicate()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
