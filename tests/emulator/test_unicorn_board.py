"""The unicorn board: counts to the instruction, and keeps the promises that ports rely on."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import serial

from edgepack import runner
from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import DeviceLostError, MissingToolError
from edgepack.flash import launch
from edgepack.flash.unicorn_board import runnable
from edgepack.manifest import Manifest
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import RunReport
from edgepack.targets import load_target
from edgepack.toolchain import compile_project, find_compiler, read_image
from edgepack.types import Array
from tests.emulator.echo_project import write_project
from tests.emulator.test_ports import LOCKUP
from tests.small_models import small_cnn

pytest.importorskip("unicorn", reason="pip install edgepack[sim]")

LINE_SECONDS = 60.0
# One of each serial port that it models, and a core of each architecture.
QUICK = ("mps2-an386",)
ALL = runnable()
MOST_INTERRUPT = 200  # bytes of stack: a frame with floating-point registers and a small handler


def has_compiler(name: str) -> bool:
    try:
        find_compiler(load_target(name))
    except MissingToolError:
        return False
    return True


@pytest.fixture(scope="module")
def echoes() -> dict[str, tuple[Path, Manifest]]:
    """Images of tests/emulator/firmware/echo.c, built on demand."""
    return {}


@contextmanager
def started(
    name: str, echoes: dict[str, tuple[Path, Manifest]], factory: pytest.TempPathFactory
) -> Iterator[tuple[int, serial.SerialBase]]:
    target = load_target(name)
    if not has_compiler(name):
        pytest.skip(f"no compiler for {name}: pip install edgepack[zig]")
    if name not in echoes:
        project = factory.mktemp("echo") / name
        echoes[name] = project, compile_project(project, write_project(project, target), target)
    project, manifest = echoes[name]
    with launch(project, manifest, target, player="unicorn") as board:
        port = serial.serial_for_url(board.url, timeout=LINE_SECONDS)
        try:
            assert port.read_until(b"\n") == b"echo-ready\r\n"
            yield board.pid, port
        finally:
            port.close()


def line(port: serial.SerialBase) -> str:
    raw = bytes(port.read_until(b"\n"))
    assert raw.endswith(b"\r\n"), f"no line within {LINE_SECONDS} s, got {raw!r}"
    return raw.decode("ascii").strip()


def promises(port: serial.SerialBase, *, slowly: bool) -> None:
    """What every port of firmware/port promises, over its serial line."""
    # 50 different distances to the coarse counter's edge: the same count each time
    port.write(b"t")
    readings = [tuple(map(int, line(port).split())) for _ in range(50)]
    assert len({empty for empty, _ in readings}) == 1
    assert len({counted - 2 * (1000 + i) for i, (_, counted) in enumerate(readings)}) == 1
    data = bytes(range(256))
    port.write(b"e" + data)
    assert port.read(256) == data
    if slowly:  # than the sender is: the board holds it back
        many = bytes((i * 11 + i // 256) % 256 for i in range(8192))
        total = 0
        for byte in many:
            total = (total * 31 + byte) & 0xFFFFFFFF
        port.write(b"p" + many)
        assert line(port) == str(total)
    # a fault is reported, and the board comes back with its data as at start
    port.write(b"d")
    assert line(port) == "good"
    port.write(b"f")
    assert line(port).startswith("e-[FAULT pc=")
    assert line(port) == "echo-ready"
    port.write(b"d")
    assert line(port) == "good"


@pytest.mark.parametrize("name", QUICK)
def test_keeps_the_promises_of_a_port(
    name: str,
    echoes: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with started(name, echoes, tmp_path_factory) as (_, port):
        promises(port, slowly=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_keeps_the_promises_of_every_port(
    name: str,
    echoes: dict[str, tuple[Path, Manifest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with started(name, echoes, tmp_path_factory) as (_, port):
        promises(port, slowly=True)


def test_a_killed_board_becomes_one_typed_error(
    echoes: dict[str, tuple[Path, Manifest]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        pytest.raises(DeviceLostError, match="mps2-an386 was killed by signal 9"),
        started("mps2-an386", echoes, tmp_path_factory) as (pid, port),
    ):
        os.kill(pid, signal.SIGKILL)
        port.read(1)


def test_leaves_no_process_behind(
    echoes: dict[str, tuple[Path, Manifest]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with started("mps2-an386", echoes, tmp_path_factory) as (pid, _):
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_lockup_becomes_one_typed_error(tmp_path: Path) -> None:
    target = load_target("mps2-an386")
    if not has_compiler(target.id):
        pytest.skip("no compiler: pip install edgepack[zig]")
    project = tmp_path / "p"
    manifest = compile_project(project, write_project(project, target, LOCKUP), target)
    with (
        pytest.raises(DeviceLostError, match="Lockup"),
        launch(project, manifest, target, player="unicorn") as board,
    ):
        port = serial.serial_for_url(board.url, timeout=LINE_SECONDS)
        try:
            assert port.read_until(b"\n") == b"up\r\n"
            port.write(b"x")
            port.read(1)
        finally:
            port.close()


# ---- instruction counts ----


def instructions(report: RunReport) -> list[float | None]:
    counted = report.device.instructions
    assert counted is not None
    return [
        counted.min,
        counted.median,
        counted.max,
        *(layer.instructions for layer in report.layers),
    ]


def both(project: Path, samples: int) -> dict[str, RunReport]:
    """The same samples under both emulators; outputs of both are saved beside the project."""
    reports = {}
    for name in ("qemu", "unicorn"):
        request = BenchRequest(
            project,
            samples=samples,
            host=False,
            oracle=False,
            emulator="qemu" if name == "qemu" else "unicorn",
            json_path=project / f"{name}.json",
            save_outputs=project / f"{name}.npz",
        )
        reports[name] = bench(request)
    return reports


def outputs(path: Path) -> Array:
    with np.load(path) as saved:
        return np.concatenate([saved[key].ravel() for key in sorted(saved.files)])


def agree(project: Path, samples: int) -> None:
    reports = both(project, samples)
    assert instructions(reports["unicorn"]) == instructions(reports["qemu"])
    for name, report in reports.items():
        assert report.target.emulator is not None and report.target.emulator.name == name
        assert report.device.latency_us is None
    peaks = [report.sizes.ram_bytes.stack_peak for report in reports.values() if report.sizes]
    # at which depth a byte's interrupt comes is chance: its frame and its handler's
    assert None not in peaks and abs((peaks[0] or 0) - (peaks[1] or 0)) <= MOST_INTERRUPT
    np.testing.assert_array_equal(outputs(project / "qemu.npz"), outputs(project / "unicorn.npz"))


def needs_qemu(target: str) -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed: make setup")
    if not has_compiler(target):
        pytest.skip(f"no compiler for {target}: pip install edgepack[zig]")


@pytest.mark.parametrize("target", ["netduinoplus2"])
def test_counts_what_qemu_counts(target: str, tmp_path: Path) -> None:
    needs_qemu(target)
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    build_project(BuildRequest(model, target), tmp_path / "project")
    agree(tmp_path / "project", 3)


@pytest.mark.slow
@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("model", "target"),
    [
        *(("kws", name) for name in ALL if name != "microbit"),
        ("ad", "mps2-an385"),
        ("ic", "mps2-an505"),
        ("vww", "mps2-an386"),
        ("sww", "mps2-an500"),
    ],
)
def test_counts_what_qemu_counts_of_real_models(
    model: str, target: str, real_data: Path, tmp_path: Path
) -> None:
    needs_qemu(target)
    path = real_data / "mlperf_tiny" / f"{model}_int8.tflite"
    build_project(BuildRequest(path, target), tmp_path / "project")
    agree(tmp_path / "project", 2)


def assemble(text: str, folder: Path) -> bytes:
    """Thumb code for a Cortex-M4, made by whichever compiler is there."""
    target = load_target("mps2-an386")
    if not has_compiler(target.id):
        pytest.skip("no compiler: pip install edgepack[zig]")
    compiler = find_compiler(target)
    source, made = folder / "p.S", folder / "p.o"
    source.write_text(f".syntax unified\n.thumb\n{text}")
    command = (*compiler.cc, *compiler.target_flags, "-c", str(source), "-o", str(made))
    runner.run(command, timeout=60)
    section = read_image(made).section(".text")
    assert section is not None
    return section.data


# Straight code longer than a translation block, a page crossed, an IT block with both outcomes,
# 32-bit instructions, a loop, a call.
PROGRAM = (
    "movs r0, #20\n1:\ncmp r0, #10\nite gt\naddgt r1, r1, #1\naddle.w r2, r2, #2\n"
    "subs r0, r0, #1\nbne 1b\n.rept 700\nadds r3, #1\n.endr\n.rept 300\nadd.w r3, r3, #1\n.endr\n"
    "bl 2f\nb 3f\n2: tst r0, r0\nit eq\nbxeq lr\nbx lr\n3:\n"
)


def test_counts_each_instruction_once(tmp_path: Path) -> None:
    """Against unicorn's own hook for single instructions, which is far too slow for a board."""
    from unicorn import UC_HOOK_CODE
    from unicorn.arm_const import UC_ARM_REG_PC, UC_CPU_ARM_CORTEX_M4

    from edgepack.flash.unicorn_board.core import Core

    core = Core(UC_CPU_ARM_CORTEX_M4, ((0, 0x10000, False),), has_fpu=False)
    core._uc.mem_write(0xF00, assemble(f"{PROGRAM}wfi\n", tmp_path))
    seen = []
    core._uc.hook_add(UC_HOOK_CODE, lambda *_: seen.append(1))
    core._set(UC_ARM_REG_PC, 0xF01)
    core.run(1_000_000)
    # that hook leaves out what an IT block skips, one in each of the 20 turns; QEMU counts it
    assert core.counter.total == len(seen) + 20
    assert core.counter.total == 1 + 20 * 6 + 700 + 300 + 1 + 3 + 1 + 1


# An IT block that the end of a page, where unicorn ends its blocks, cuts in two, and a handler.
CUT = (
    ".word 0x20000800, 0x101\n.rept 14\n.word 0x81\n.endr\n.word 0x81\n.org 0x80\n"
    "adds r6, #1\nmovs r0, #7\ncmp r0, #7\nbx lr\n"
    ".org 0x100\nmovs r5, #50\nmovs r0, #0\nb 1f\n.org 0x3fc\n1: cmp r0, #1\nite eq\n"
    "addeq r1, #1\naddne r2, #1\nsubs r5, #1\nbne 1b\nwfi\n"
)


def test_an_interrupt_may_come_between_any_two_blocks(tmp_path: Path) -> None:
    from unicorn.arm_const import (
        UC_ARM_REG_PC,
        UC_ARM_REG_R1,
        UC_ARM_REG_R2,
        UC_ARM_REG_R6,
        UC_ARM_REG_SP,
        UC_CPU_ARM_CORTEX_M4,
    )

    from edgepack.flash.unicorn_board.core import Core, Stop

    memory = ((0, 0x1000, False), (0x2000_0000, 0x1000, True))
    core = Core(UC_CPU_ARM_CORTEX_M4, memory, has_fpu=False)
    core._uc.mem_write(0, assemble(CUT, tmp_path))
    core._set(UC_ARM_REG_SP, 0x2000_0800)
    core._set(UC_ARM_REG_PC, 0x101)
    handled = 0
    while core._get(UC_ARM_REG_PC) != 0x408 + 2:
        assert core.run(1) in (Stop.LIMIT, Stop.SLEEP)
        if core._get(UC_ARM_REG_PC) == 0x408 + 2:
            break
        core.interrupt(0)
        while core.run(1_000) is not Stop.RETURNED:
            pass
        core.leave()
        handled += 1
    # the handler changes flags and registers; what it interrupted goes on with its own
    assert core._get(UC_ARM_REG_R1) == 0 and core._get(UC_ARM_REG_R2) == 50
    assert core._get(UC_ARM_REG_R6) == handled > 100
    assert core._get(UC_ARM_REG_SP) == 0x2000_0800


def test_is_fast_enough(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Millions of instructions a second: a loop of ten instructions, the shape of an inner loop."""
    from unicorn.arm_const import UC_ARM_REG_PC, UC_CPU_ARM_CORTEX_M4

    from edgepack.flash.unicorn_board.core import Core

    body = "ldr r1, [r5]\nldr r2, [r5, #4]\nsmlad r3, r1, r2, r3\nsxtb16 r4, r1\n" * 2
    start = "mov r5, #0x20000000\nldr r0, =400000\n1:\n"
    code = assemble(f"{start}{body}subs r0, #1\nbne 1b\nwfi\n.ltorg\n", tmp_path)
    memory = ((0, 0x1000, False), (0x2000_0000, 0x1000, True))
    core = Core(UC_CPU_ARM_CORTEX_M4, memory, has_fpu=False)
    core.map_registers(0x4000_0000, 0x1000, lambda _: 0, lambda *_: None)
    core._uc.mem_write(0, code)
    core._set(UC_ARM_REG_PC, 1)
    began = time.process_time()
    core.run(100_000_000)
    rate = core.counter.total / (time.process_time() - began) / 1e6
    record_property("note", f"the unicorn board executes {rate:.0f} million instructions a second")
    assert core.counter.total == 4_000_003
    assert rate > 3
