"""A pseudo-terminal in front of a socket behaves as a serial adapter does."""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from edgepack.errors import UsageError
from edgepack.link.pseudo_terminal import PseudoTerminal, pseudo_terminal
from edgepack.pipeline.serve import listed_environment

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")

SECONDS = 10.0  # a busy computer's patience


@pytest.fixture
def bridge() -> Iterator[tuple[PseudoTerminal, socket.socket]]:
    """The terminal and the device's end of its socket."""
    near, far = socket.socketpair()
    with near, far, pseudo_terminal(near) as terminal:
        far.settimeout(SECONDS)
        yield terminal, far


def receive(device: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += device.recv(count - len(data))
    return data


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_every_byte_passes_both_ways(bridge: tuple[PseudoTerminal, socket.socket]) -> None:
    terminal, device = bridge
    every = bytes(range(256)) * 4  # line ends, XON, XOFF and Ctrl-C among them
    with serial.Serial(terminal.path, 115200, timeout=SECONDS) as port:
        port.write(every)
        assert receive(device, len(every)) == every
        device.sendall(every)
        assert port.read(len(every)) == every


def test_a_slow_reader_loses_nothing(bridge: tuple[PseudoTerminal, socket.socket]) -> None:
    terminal, device = bridge
    data = random.Random(1).randbytes(600_000)
    with serial.Serial(terminal.path, timeout=SECONDS) as port:
        sender = threading.Thread(target=device.sendall, args=(data,))
        sender.start()
        time.sleep(0.2)  # all buffers are full by now
        got = port.read(len(data))
        sender.join()
    assert got == data


def test_it_opens_again_and_again(bridge: tuple[PseudoTerminal, socket.socket]) -> None:
    terminal, device = bridge
    for number in range(20):
        with serial.Serial(terminal.path, timeout=SECONDS) as port:
            text = f"command {number}%".encode()
            port.write(text)
            assert receive(device, len(text)) == text
            device.sendall(text)
            assert port.read(len(text)) == text


def test_what_nobody_listens_to_is_lost(bridge: tuple[PseudoTerminal, socket.socket]) -> None:
    terminal, device = bridge
    device.sendall(b"before" * 100_000)
    wait_for(lambda: terminal.dropped == 600_000)
    with serial.Serial(terminal.path, timeout=SECONDS) as port:
        device.sendall(b"while")
        assert port.read(5) == b"while"
    time.sleep(0.1)  # the bridge has seen that it is closed
    device.sendall(b"after")
    wait_for(lambda: terminal.dropped == 600_005)


def test_the_last_bytes_of_a_program_still_arrive(
    bridge: tuple[PseudoTerminal, socket.socket],
) -> None:
    terminal, device = bridge
    with serial.Serial(terminal.path) as port:
        port.write(b"reset%")
    assert receive(device, 6) == b"reset%"


def test_a_dead_device_ends_it(bridge: tuple[PseudoTerminal, socket.socket]) -> None:
    terminal, device = bridge
    assert terminal.is_alive()
    device.close()
    wait_for(lambda: not terminal.is_alive())


def test_it_waits_without_work_and_leaves_nothing_behind() -> None:
    near, far = socket.socketpair()
    with near, far:
        before = set(Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else set()
        for _ in range(5):
            with pseudo_terminal(near) as terminal, serial.Serial(terminal.path):
                # an open port with nothing to say: its thread sleeps
                before_it = time.process_time()
                assert not select.select([far], [], [], 0.2)[0]
                assert time.process_time() - before_it < 0.1
        if before:
            assert set(Path("/proc/self/fd").iterdir()) == before


def listing(path: str, usb_id: str, extra: Path | None = None) -> list[str]:
    code = (
        "from serial.tools import list_ports\n"
        "for p in list_ports.comports(True):\n"
        "    print(p.device, p.vid, p.pid)"
    )
    environment = {**os.environ, **listed_environment(path, usb_id)}
    if extra is not None:
        environment["PYTHONPATH"] += os.pathsep + str(extra)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.splitlines()


def test_pyserial_lists_it_first_as_the_usb_device_asked_for() -> None:
    assert listing("/dev/pts/77", "0483:374B")[0] == f"/dev/pts/77 {0x0483} {0x374B}"


def test_a_sitecustomize_of_the_system_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one')\n")
    lines = listing("/dev/pts/77", "0483:374b", tmp_path)
    assert lines[0] == "the other one" and lines[1].startswith("/dev/pts/77")


@pytest.mark.parametrize("wrong", ["", "0483", "0483:xyz1", "483:374b", "0483:374b:1"])
def test_what_is_no_usb_id(wrong: str) -> None:
    with pytest.raises(UsageError, match="USB id"):
        listed_environment("/dev/pts/1", wrong)
