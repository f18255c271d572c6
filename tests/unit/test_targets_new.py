"""`edgepack targets new`: scaffolds that are refused until they are filled in, then load."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack.cli import run
from edgepack.errors import ConfigError, UsageError
from edgepack.targets import (
    VARIABLE,
    load_target,
    scaffold_target,
    soc_names,
    target_names,
)
from edgepack.targets.scaffold import PLACEHOLDER

# What a user would look up; the chip is a made-up STM32F405, so that its port exists.
BOARD = {
    "name": '"Some board"',
    "verified_how": '"nobody has tried it"',
    "notes": '"TX PA9, RX PA10"',
    "vid": "0x0483",
    "pid": "0x374B",
    "what": '"its ST-Link"',
    "tool": '"openocd"',
    "format": '"hex"',
    "hse_hz": "8_000_000",
    "EP_UART_TX_PIN": '"9u"',
    "EP_UART_RX_PIN": '"10u"',
}
CHIP = {
    "name": '"Some chip"',
    "core": '"cortex-m4"',
    "arch": '"armv7e-m"',
    "fpu": '"single"',
    "hz": "168_000_000",
    "how": '"PLL from the crystal"',
    "speed": '"no wait states"',
    "base": "0x4001_1000",
    "irq": "37",
    "clock_hz": "84_000_000",
    "max_baud": "2_000_000",
    "pins": '"TX PA9, RX PA10"',
    "kind": '"stm32-usart"',
    "bits": "48",
    "wrap_ticks": "0xFFFF_FFFF_FFFF",
    "why": '"enough for the model"',
    "prefix": '"arm-none-eabi-"',
    "flags": '["-mcpu=cortex-m4", "-mthumb"]',
}


def fill(path: Path, values: dict[str, str]) -> None:
    """Replace every placeholder as a user would: by the key in front of it."""
    text = path.read_text("utf-8")
    text = re.sub(r"(?m)^\[boot\]\n(?:\w.*\n)*", "", text)  # a table that does not apply
    origins = iter(("0x0800_0000", "0x2000_0000"))
    sizes = iter(("0x0010_0000", "0x0002_0000"))

    def value(match: re.Match[str]) -> str:
        key = match[1]
        if key == "source":
            return 'source = "its manual, chapter 1"'
        if key in ("origin", "size"):
            return f"{key} = {next(origins if key == 'origin' else sizes)}"
        return f"{key} = {values[key]}"

    path.write_text(re.sub(r'(\w+) = (?:"\?"|\["\?"\])', value, text), "utf-8")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "own"
    monkeypatch.setenv(VARIABLE, str(folder))
    load_target.cache_clear()
    yield folder
    load_target.cache_clear()


def test_a_filled_in_scaffold_loads(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", "new", "some-board"]) == 0
    said = "".join(capsys.readouterr())
    board, chip = own / "boards" / "some-board.toml", own / "soc" / "some-board.toml"
    assert f"wrote {board}" in said and f"wrote {chip}" in said
    assert "firmware/port/some-board/port.c" in said
    assert re.search(r"next: +edgepack targets some-board\n", said)
    fill(board, BOARD)
    fill(chip, CHIP)
    target = load_target("some-board")
    assert (target.clock_hz, target.flash_bytes, target.ram_bytes) == (
        168_000_000,
        1 << 20,
        1 << 17,
    )
    assert "some-board" in target_names() and "some-board" in soc_names()
    assert run(["targets", "some-board"]) == 0
    assert "its manual, chapter 1" in capsys.readouterr().out


def test_until_then_every_open_key_is_named(own: Path) -> None:
    scaffold_target("some-board", None, own, (), ())
    with pytest.raises(ConfigError, match="is not filled in yet") as caught:
        load_target("some-board")
    for key in ("name", "serial.usb.0.vid", "flash.0.tool", "crystal.hse_hz"):
        assert key in caught.value.message
    fill(own / "boards" / "some-board.toml", BOARD)
    with pytest.raises(ConfigError, match=r"clock\.hz.*memory\.0\.origin.*toolchain\.gcc\.flags"):
        load_target("some-board")


def test_every_required_key_of_the_schema_is_in_the_scaffold(own: Path) -> None:
    # deleting a required key must be the only way to miss it: the filled scaffold is complete, and
    # each table of it that cites facts has its `source`
    made = scaffold_target("some-board", None, own, (), ())
    for path in made.files:
        document = tomllib.loads(path.read_text("utf-8"))
        for key in ("cpu", "clock", "uart", "port", "crystal"):
            if key in document:
                assert document[key]["source"] == PLACEHOLDER
        for key in ("memory", "counter", "flash", "post"):
            assert all(entry["source"] == PLACEHOLDER for entry in document.get(key, []))


def test_a_known_chip_gets_no_second_record(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", "new", "some-board", "--soc", "rp2040", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made == {"board": str(own / "boards" / "some-board.toml"), "soc": None}
    fill(own / "boards" / "some-board.toml", BOARD)
    assert load_target("some-board").soc.id == "rp2040"
    assert load_target("some-board").defines.count("EP_UART_TX_PIN=9u") == 1


def test_nothing_is_overwritten(own: Path) -> None:
    made = scaffold_target("some-board", "some-chip", own, (), ())
    assert made.soc is not None
    before = [path.read_bytes() for path in made.files]
    for name, chip in (("some-board", "other-chip"), ("other-board", "some-chip")):
        with pytest.raises(UsageError, match="exists already; it is not overwritten"):
            scaffold_target(name, chip, own, (), ())
    assert [path.read_bytes() for path in made.files] == before
    written = sorted(path.stem for path in own.glob("*/*.toml"))
    assert written == ["some-board", "some-chip"]
    assert run(["targets", "new", "pico"]) == UsageError.exit_code


@pytest.mark.parametrize("name", ["Upper", "a b", "../up", "", "-x"])
def test_an_id_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no id of a target"):
        scaffold_target(name, None, tmp_path, (), ())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["targets", "new"], "a new target needs a name"),
        (["targets", "pico", "pico2"], "go with `new` alone"),
        (["targets", "--soc", "rp2040"], "go with `new` alone"),
    ],
)
def test_wrong_arguments_are_refused(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == UsageError.exit_code
    assert said in capsys.readouterr().err
