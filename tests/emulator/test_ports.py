"""Every port, run: what ep_port.h promises, on each emulated board and on the host."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import serial

from edgepack.errors import DeviceLostError
from edgepack.flash import RunningBoard, launch
from edgepack.manifest import Manifest
from edgepack.targets import Kind, load_target, load_targets
from edgepack.toolchain import compile_project
from tests.emulator.echo_project import build_echo, write_project

BOARDS = [target.id for target in load_targets() if target.kind is not Kind.HARDWARE]
EMULATED = [target.id for target in load_targets() if target.kind is Kind.EMULATED]
# Boards whose only counter that moves has 24 bits, and an interrupt at the end of each round.
ROUNDS = [name for name in EMULATED if "counting the rounds" in load_target(name).counter.name]
LINE_SECONDS = 20.0
BANNER_SECONDS = 4.0
# What echo.c itself executes between two readings: a call, a few moves, and the loop's set-up.
MOST_GLUE = 12


def skip_if_missing(name: str) -> None:
    target = load_target(name)
    emulator = target.board.emulator
    prefix = target.soc.toolchain["gcc"].prefix if "gcc" in target.soc.toolchain else ""
    for tool in (prefix + "gcc", emulator.program if emulator else "gcc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@dataclass
class Echo:
    board: RunningBoard
    port: serial.SerialBase

    def line(self) -> str:
        raw = bytes(self.port.read_until(b"\n"))
        assert raw.endswith(b"\r\n"), f"no line within {LINE_SECONDS} s, got {raw!r}"
        return raw.decode("ascii").strip()

    def ask(self, command: bytes) -> str:
        self.port.write(command)
        return self.line()


def greet(echo: Echo) -> None:
    """Read the banner, which pyserial may have thrown away: opening a socket:// empties it.

    test_start_up_sets_data_and_clears_bss_again_after_a_reset reads one that nothing can take.
    """
    echo.port.timeout = BANNER_SECONDS
    banner = bytes(echo.port.read_until(b"\n"))
    echo.port.timeout = LINE_SECONDS
    assert banner in (b"echo-ready\r\n", b"")
    if not banner:
        assert echo.ask(b"?") == "?"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Manifest]]:
    """Built on demand, once for all tests of this file."""
    return {}


@contextmanager
def started(
    name: str, images: dict[str, tuple[Path, Manifest]], factory: pytest.TempPathFactory
) -> Iterator[Echo]:
    skip_if_missing(name)
    if name not in images:
        folder = factory.mktemp("echo") / name
        images[name] = (folder, build_echo(folder, name))
    project, manifest = images[name]
    with launch(project, manifest, load_target(name)) as board:
        port = serial.serial_for_url(board.url, timeout=LINE_SECONDS)
        try:
            echo = Echo(board, port)
            greet(echo)
            yield echo
        finally:
            port.close()


@pytest.fixture(params=BOARDS)
def echo(
    request: pytest.FixtureRequest,
    images: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Echo]:
    with started(request.param, images, tmp_path_factory) as running:
        yield running


@pytest.mark.emulator
def test_reports_what_the_record_says(echo: Echo) -> None:
    target = load_target(echo.board.name)
    facts = re.fullmatch(
        r"kind (\d) hz (\d+) baud (\d+) stack (\d+) in (\d) lost (\d+)", echo.ask(b"i")
    )
    assert facts is not None
    kind, hz, baud, stack, inside, lost = map(int, facts.groups())
    unit = {"nanoseconds": 0, "cycles": 1, "instructions": 2}[target.counter.unit]
    assert (kind, hz, baud, lost) == (unit, target.counter.hz, 0, 0)
    assert (stack, inside) == (target.stack.bytes, 1)


@pytest.mark.emulator
def test_echoes_every_byte_value(echo: Echo) -> None:
    data = bytes(range(256))
    echo.port.write(b"e" + data)
    assert echo.port.read(256) == data


@pytest.mark.emulator
def test_keeps_back_to_back_bytes(echo: Echo) -> None:
    # more than any receive buffer, in one go
    data = bytes((i * 7 + i // 256) % 256 for i in range(16384))
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    echo.port.write(b"s" + data)
    assert echo.line() == str(total)
    assert echo.ask(b"i").endswith("lost 0")


@pytest.mark.emulator
def test_holds_the_sender_back_when_the_buffer_is_full(echo: Echo) -> None:
    data = bytes((i * 11 + i // 256) % 256 for i in range(8192))
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    echo.port.write(b"p" + data)
    assert echo.line() == str(total)
    assert echo.ask(b"i").endswith("lost 0")


@pytest.mark.emulator
def test_the_counter_never_goes_backwards_while_bytes_arrive(echo: Echo) -> None:
    echo.port.write(b"m" + bytes(4096))
    assert echo.line() == "0"


@pytest.mark.emulator
def test_start_up_sets_data_and_clears_bss_again_after_a_reset(echo: Echo) -> None:
    assert echo.ask(b"d") == "good"
    assert echo.ask(b"d") == "bad"  # the firmware spoilt both on purpose
    assert echo.ask(b"r") == "echo-ready"
    assert echo.ask(b"d") == "good"


@pytest.mark.emulator
@pytest.mark.parametrize("name", EMULATED)
def test_counts_instructions_exactly(
    name: str,
    images: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with started(name, images, tmp_path_factory) as echo:
        echo.port.write(b"t")
        readings = [tuple(map(int, echo.line().split())) for _ in range(50)]
    # 50 different distances to the coarse counter's edge: any error of resolution would show
    nothing = {empty for empty, _ in readings}
    assert len(nothing) == 1 and 0 <= nothing.pop() <= MOST_GLUE
    # turn i of the firmware's loop executes two instructions 1000 + i times
    glue = {counted - 2 * (1000 + i) for i, (_, counted) in enumerate(readings)}
    assert len(glue) == 1 and 0 <= glue.pop() <= MOST_GLUE
    assert load_target(name).counter.resolution == 1


@pytest.mark.emulator
@pytest.mark.parametrize("name", ROUNDS)
def test_counts_exactly_while_the_short_counter_goes_round(
    name: str,
    images: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with started(name, images, tmp_path_factory) as echo:
        counted = int(echo.ask(b"w"))
    # two instructions a turn; SysTick's interrupt came in between at least once
    assert 0 <= counted - 800_000_000 <= MOST_GLUE


@pytest.mark.emulator
@pytest.mark.parametrize("name", EMULATED)
def test_bytes_that_arrive_during_start_up_do_not_spoil_the_counter(
    name: str,
    images: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with started(name, images, tmp_path_factory) as echo:
        echo.port.write(b"t")
        usual = echo.line()
    project, manifest = images[name]
    for _ in range(5):
        with launch(project, manifest, load_target(name)) as board:
            port = serial.serial_for_url(board.url, timeout=LINE_SECONDS)
            port.write(b"?" * 64)  # before the board has come up: it may drop some
            echo = Echo(board, port)
            assert echo.line() == "echo-ready"
            port.write(b"t")
            answers = list(iter(echo.line, usual))
            assert len(answers) <= 64 and set(answers) <= {"?"}
            port.close()


@pytest.mark.emulator
@pytest.mark.parametrize("name", EMULATED)
def test_a_fault_is_reported_and_restarts(
    name: str,
    images: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with started(name, images, tmp_path_factory) as echo:
        line = echo.ask(b"f")
        assert re.fullmatch(r"e-\[FAULT pc=[0-9A-F]{8} lr=[0-9A-F]{8} cause=[0-9A-F]{8}\]", line)
        assert echo.line() == "echo-ready"
        assert echo.ask(b"d") == "good"


@pytest.mark.emulator
def test_a_killed_emulator_becomes_one_typed_error(
    images: dict[str, tuple[Path, Manifest]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        pytest.raises(DeviceLostError, match="mps2-an386 was killed by signal 9"),
        started("mps2-an386", images, tmp_path_factory) as echo,
    ):
        os.kill(echo.board.pid, signal.SIGKILL)
        echo.port.read(1)


# Points the vector table at zeroed RAM, then executes an undefined instruction: a fault in a fault.
LOCKUP = """
#include "ep_port.h"
static uint32_t nothing[64] __attribute__((aligned(256)));
int ep_main(void) {
    ep_port_init();
    ep_port_write("up\\r\\n", 4u);
    while (ep_port_getc() < 0) {
    }
    *(volatile uint32_t *)0xE000ED08u = (uint32_t)(uintptr_t)nothing;
    __asm__ volatile("dsb\\n\\tudf #0");
    return 0;
}
"""


@pytest.mark.emulator
def test_a_lockup_becomes_one_typed_error(tmp_path: Path) -> None:
    target = load_target("mps2-an386")
    project = tmp_path / "p"
    manifest = compile_project(project, write_project(project, target, LOCKUP), target)
    with (
        pytest.raises(DeviceLostError, match="Lockup") as caught,
        launch(project, manifest, target) as board,
    ):
        port = serial.serial_for_url(board.url, timeout=LINE_SECONDS)
        try:
            assert port.read_until(b"\n") == b"up\r\n"
            port.write(b"x")
            port.read(1)
        finally:
            port.close()
    assert "the core locked up" in (caught.value.next_step or "")


@pytest.mark.emulator
def test_leaves_no_process_behind(
    images: dict[str, tuple[Path, Manifest]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("mps2-an386", "host"):
        with started(name, images, tmp_path_factory) as echo:
            pid = echo.board.pid
            assert echo.board.is_alive()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.emulator
def test_the_host_program_ends_with_its_lifeline(
    images: dict[str, tuple[Path, Manifest]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with started("host", images, tmp_path_factory) as echo:
        # a peer that leaves may come back
        echo.port.close()
        again = serial.serial_for_url(echo.board.url, timeout=LINE_SECONDS)
        again.write(b"d")
        assert again.read_until(b"\n") == b"good\r\n"
        again.close()
        assert echo.board.is_alive()
        assert echo.board.child.stdin is not None
        echo.board.child.stdin.close()
        deadline = time.monotonic() + 5
        while echo.board.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert echo.board.child.returncode == 0
