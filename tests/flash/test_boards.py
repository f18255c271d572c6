"""The flash tools of every board's record, against what the tools themselves know."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from edgepack import runner
from edgepack.flash import FLASH_TOOLS, FlashRequest
from edgepack.targets import Kind, Target, load_target, load_targets
from edgepack.targets.board import FlashMethod
from tests.flash.mini_elf import write_board_project

TOOLS = {tool.name: tool for tool in FLASH_TOOLS}
# What OpenOCD 0.12 lacks, and who has it; the record must say so.
ELSEWHERE = {"target/rp2350.cfg": "Raspberry Pi's OpenOCD"}
OPENOCD_SCRIPTS = Path("/usr/share/openocd/scripts")


def methods(*tools: str) -> list[tuple[Target, FlashMethod]]:
    return [
        (target, method)
        for target in load_targets()
        for method in target.board.flash
        if target.kind is Kind.HARDWARE and method.tool in tools
    ]


def names(found: list[tuple[Target, FlashMethod]]) -> list[str]:
    return [f"{target.id}-{method.tool}" for target, method in found]


ALL = methods(*TOOLS)


@pytest.mark.parametrize(("target", "method"), ALL, ids=names(ALL))
def test_every_tool_of_a_board_has_a_command(
    target: Target, method: FlashMethod, tmp_path: Path
) -> None:
    if "flasher_args" in method.options:
        pytest.skip("its files come from an ESP-IDF build")
    manifest = write_board_project(tmp_path / "p", target)
    options = dict(method.options)
    request = FlashRequest(tmp_path / "p", manifest, target, options, port="/dev/ttyACM0")
    command = TOOLS[method.tool].command(request)
    assert any("firmware." in word for word in command)


PYOCD = methods("pyocd")


@pytest.mark.parametrize(("target", "method"), PYOCD, ids=names(PYOCD))
def test_pyocd_knows_the_chip_or_its_pack_is_named(target: Target, method: FlashMethod) -> None:
    known = importlib.import_module("pyocd.target.builtin").BUILTIN_TARGETS
    chip = method.options["target"]
    packed = "pack" in method.options or "CMSIS pack" in method.source
    assert (chip in known) != packed, f"{target.id}: is {chip} in pyocd list --targets, or packed?"


OPENOCD = methods("openocd")


@pytest.mark.parametrize(("target", "method"), OPENOCD, ids=names(OPENOCD))
def test_openocd_has_the_configuration_files(target: Target, method: FlashMethod) -> None:
    if not OPENOCD_SCRIPTS.is_dir():
        pytest.skip("openocd is not installed")
    for name in method.options["config"]:
        if name in ELSEWHERE:
            assert ELSEWHERE[name] in method.source
            continue
        assert (OPENOCD_SCRIPTS / name).is_file(), f"{target.id}: OpenOCD has no {name}"


@pytest.mark.parametrize(("target", "method"), OPENOCD, ids=names(OPENOCD))
def test_openocd_takes_the_configuration(target: Target, method: FlashMethod) -> None:
    if runner.which("openocd") is None:
        pytest.skip("openocd is not installed")
    files = method.options["config"]
    if ELSEWHERE.keys() & set(files):
        pytest.skip("another OpenOCD's files")
    lines = (*method.options.get("commands", ()), "shutdown")
    words = [*(w for f in files for w in ("-f", f)), *(w for c in lines for w in ("-c", c))]
    said = runner.run(["openocd", *words], timeout=20.0, check=False)
    assert said.returncode == 0, f"{target.id}: {said.stderr[-500:]}"


def test_stm32loader_knows_the_families() -> None:
    loader = importlib.import_module("stm32loader.bootloader").Stm32Bootloader
    for target, method in methods("stm32loader"):
        family = method.options.get("family")
        assert family is None or family in loader.FLASH_PAGE_SIZE, f"{target.id}: {family}"


def test_esptool_knows_the_chips() -> None:
    known = importlib.import_module("esptool.targets").CHIP_DEFS
    for target, method in methods("esptool"):
        assert method.options["chip"] in known, f"{target.id}: {method.options['chip']}"


def test_teensy_loader_knows_the_boards() -> None:
    if runner.which("teensy_loader_cli") is None:
        pytest.skip("teensy_loader_cli is not installed")
    said = runner.run(["teensy_loader_cli", "--list-mcus"], timeout=10.0, check=False)
    for target, method in methods("teensy"):
        assert method.options["mcu"] in said.stdout + said.stderr, target.id


def test_every_real_board_can_be_flashed() -> None:
    boards = [load_target(target.id) for target in load_targets() if target.kind is Kind.HARDWARE]
    assert all(target.board.flash for target in boards)
