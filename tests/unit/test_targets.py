"""Target records: they load, they agree with the rest of the tree, and broken ones are refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import ConfigError
from edgepack.flash import FLASH_TOOLS
from edgepack.pipeline.devices import attached_devices
from edgepack.resources import firmware_dir, targets_dir
from edgepack.targets import Kind, Verified, load_target, load_targets, soc_names, target_names
from edgepack.targets.loader import read_record
from edgepack.targets.soc import Soc
from edgepack.toolchain import TOOLCHAINS

TARGETS = load_targets()


def soc_document() -> dict[str, Any]:
    return tomllib.loads((targets_dir() / "soc" / "stm32f405.toml").read_text("utf-8"))


def test_every_record_loads_and_every_chip_has_a_board() -> None:
    assert {target.soc.id for target in TARGETS} == set(soc_names())
    assert [target.id for target in TARGETS] == list(target_names())
    assert "netduinoplus2" in target_names() and "host" in target_names()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.id)
def test_what_a_record_names_exists(target: Any) -> None:
    for source in target.soc.port.sources:
        assert (firmware_dir() / source).is_file()
    for folder in target.soc.port.include_dirs:
        assert (firmware_dir() / folder).is_dir()
    assert {method.tool for method in target.board.flash} <= {tool.name for tool in FLASH_TOOLS}
    assert set(target.soc.toolchain) & {toolchain.name for toolchain in TOOLCHAINS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.id)
def test_no_board_claims_more_than_was_tried(target: Any) -> None:
    # the only hardware where these tests run is this computer
    assert target.verified is not Verified.HARDWARE or target.kind is Kind.HOST
    assert target.board.verified_how


def test_known_facts_of_the_stm32f405() -> None:
    target = load_target("netduinoplus2")
    assert (target.flash_bytes, target.ram_bytes) == (1024 * 1024, 128 * 1024)
    assert (target.cpu, target.isa, target.clock_hz) == ("cortex-m4", ("dsp",), 168_000_000)
    assert target.counter.unit == "instructions" and target.counter.resolution == 1
    assert "EP_UART_BASE=0x40011000u" in target.defines
    assert "EP_HSE_HZ=25000000u" in target.defines


class _StLink:
    device = "/dev/ttyACM0"
    description: str | None = "STM32 STLink"
    vid: int | None = 0x0483
    pid: int | None = 0x374B
    serial_number: str | None = "066AFF"


def test_an_st_link_is_probably_a_nucleo() -> None:
    probe = _StLink()
    (found,) = attached_devices([probe])
    assert {"nucleo-f446re", "nucleo-f746zg", "nucleo-h743zi", "nucleo-l4r5zi"} <= set(found.boards)
    probe.pid = 0x374E  # an STLINK-V3, which only the H743ZI2 of these carries
    (found,) = attached_devices([probe])
    assert found.boards == ("nucleo-h743zi",)


def test_the_nucleos_take_a_clock_and_no_crystal() -> None:
    assert "EP_HSE_BYPASS=1" in load_target("nucleo-f446re").defines
    assert not any("BYPASS" in define for define in load_target("netduinoplus2").defines)


def test_the_host_has_no_limits() -> None:
    target = load_target("host")
    assert target.kind is Kind.HOST
    assert (target.flash_bytes, target.ram_bytes, target.clock_hz) == (None, None, None)
    assert target.counter.unit == "nanoseconds"


def test_an_unknown_target_names_the_closest_and_all() -> None:
    with pytest.raises(ConfigError) as caught:
        load_target("netduino-plus2")
    assert "did you mean netduinoplus2?" in caught.value.message
    assert caught.value.allowed == ", ".join(target_names())
    assert caught.value.next_step == "edgepack targets"


def write(folder: Path, document: dict[str, Any]) -> Path:
    """Write a record in the shape of TOML that these tests need."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{k} = {value(v)}" for k, v in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ", ".join(map(value, item)) + "]"
        return f'"{item}"' if isinstance(item, str) else str(item)

    path = folder / "record.toml"
    path.write_text("\n".join(f"{k} = {value(v)}" for k, v in document.items()), "utf-8")
    return path


def test_an_unchanged_copy_is_accepted(tmp_path: Path) -> None:
    assert read_record(write(tmp_path, soc_document()), Soc).id == "stm32f405"


def drop_source(document: dict[str, Any]) -> None:
    del document["clock"]["source"]


def unknown_key(document: dict[str, Any]) -> None:
    document["cpu"]["cache"] = 1


def overlap(document: dict[str, Any]) -> None:
    document["memory"][1]["origin"] = 0x0801_0000


def stack_in_flash(document: dict[str, Any]) -> None:
    document["layout"]["stack"] = "flash"


def no_such_region(document: dict[str, Any]) -> None:
    document["layout"]["arena"] = "sdram"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (drop_source, r"clock\.source: Field required"),
        (unknown_key, r"cpu\.cache: Extra inputs are not permitted"),
        (overlap, "memory regions flash and sram overlap"),
        (stack_in_flash, "layout.stack names flash, which is not RAM"),
        (no_such_region, "layout.arena names sdram, which is none of"),
    ],
)
def test_a_broken_record_is_refused(tmp_path: Path, spoil: Any, said: str) -> None:
    document = soc_document()
    spoil(document)
    with pytest.raises(ConfigError, match=said):
        read_record(write(tmp_path, document), Soc)


def test_a_record_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.toml"
    path.write_text("id = ", "utf-8")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_record(path, Soc)


def test_registers_of_the_port_come_from_the_record() -> None:
    # the base address of the UART must not stand in the port a second time
    for target in TARGETS:
        base = target.uart.base
        for source in target.soc.port.sources:
            text = (firmware_dir() / source).read_text("utf-8")
            if base is not None:
                assert not re.search(f"0x{base:08x}", text, re.IGNORECASE), source
