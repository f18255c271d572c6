"""pyOCD and gdb, the real programs, write real firmware into QEMU, and the firmware answers.

pyOCD drives the flash controller that QEMU has for the nRF51 with its own flash algorithm; gdb
writes through QEMU's gdbserver, which does not ask the flash controller.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack import runner
from edgepack.errors import FlashError, WrongImageError
from edgepack.manifest import Manifest
from edgepack.pipeline.flashing import flash_and_identify, identify
from edgepack.toolchain import read_image
from edgepack.toolchain.formats import flat_binary, load_chunks
from tests.flash.mini_elf import real_board
from tests.flash.pyocd_probe import VirtualProbe
from tests.flash.qemu_board import blank_board

pytestmark = pytest.mark.emulator

Firmware = Callable[[str, int], tuple[Path, Manifest]]
# gdb runs this right after its command `load`
SPOIL = "define hookpost-load\nset {unsigned char} 0x204 = {unsigned char} 0x204 ^ 0x10\nend\n"


def flash_bytes(project: Path, manifest: Manifest) -> bytes:
    return flat_binary(load_chunks(read_image(project / (manifest.image or ""))))


def test_pyocd_flashes_and_the_board_answers(firmware: Firmware) -> None:
    project, manifest = firmware("microbit", 1)
    board = real_board("microbit", pyocd={"target": "nrf51"})
    with blank_board("microbit") as blank, VirtualProbe(blank.gdb_port) as probe:
        flashed = flash_and_identify(
            project, manifest, board, port=blank.serial, probe=probe.address
        )
        assert flashed.outcome.tool == "pyocd" and flashed.outcome.verified
        assert flashed.device_build_id == manifest.build_id
        assert probe.faults == [] and probe.chip.resets >= 1
        content = flash_bytes(project, manifest)
        assert probe.chip.read(0, len(content)) == content
        # the project next door was not flashed
        with pytest.raises(WrongImageError, match="this board runs something else") as caught:
            identify(blank.serial, 115200, "f" * 16, after="nothing was done")
        assert manifest.build_id in caught.value.message


@pytest.mark.slow
def test_pyocd_flashes_over_firmware_that_runs(firmware: Firmware) -> None:
    """In QEMU a core that sleeps in WFI does not wake up for a flash algorithm: under reset."""
    board = real_board("microbit", pyocd={"target": "nrf51", "connect": "under-reset"})
    with blank_board("microbit") as blank, VirtualProbe(blank.gdb_port) as probe:
        for seed in (1, 2):
            project, manifest = firmware("microbit", seed)
            flashed = flash_and_identify(
                project, manifest, board, port=blank.serial, probe=probe.address
            )
            assert flashed.device_build_id == manifest.build_id


@pytest.mark.slow
def test_pyocd_tells_a_flash_that_does_not_take(
    firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worn bit: what is read back differs in one place."""
    project, manifest = firmware("microbit", 1)
    board = real_board("microbit", pyocd={"target": "nrf51"})
    with blank_board("microbit") as blank, VirtualProbe(blank.gdb_port) as probe:
        honest = probe.chip.read

        def worn(address: int, count: int) -> bytes:
            data = bytearray(honest(address, count))
            if address <= 0x204 < address + count:
                data[0x204 - address] ^= 0x10
            return bytes(data)

        monkeypatch.setattr(probe.chip, "read", worn)
        with pytest.raises(FlashError, match="differs from what was written"):
            flash_and_identify(project, manifest, board, probe=probe.address)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ("remote:127.0.0.1:1", "no probe server listens there"),
        ("0123456789", "no debug probe is connected"),
    ],
)
def test_pyocd_says_when_the_probe_is_gone(probe: str, said: str, firmware: Firmware) -> None:
    project, manifest = firmware("microbit", 1)
    board = real_board("microbit", pyocd={"target": "nrf51"})
    with pytest.raises(FlashError, match=said):
        flash_and_identify(project, manifest, board, probe=probe)


@pytest.mark.slow
def test_pyocd_does_not_know_every_chip(firmware: Firmware) -> None:
    project, manifest = firmware("microbit", 1)
    board = real_board("microbit", pyocd={"target": "stm32l4r5zitx", "pack": "stm32l4r5zi"})
    with (
        blank_board("microbit") as blank,
        VirtualProbe(blank.gdb_port) as probe,
        pytest.raises(FlashError, match="does not know the chip stm32l4r5zitx") as caught,
    ):
        flash_and_identify(project, manifest, board, probe=probe.address)
    assert caught.value.next_step == "pyocd pack install stm32l4r5zi"


needs_gdb = pytest.mark.skipif(
    runner.which("gdb-multiarch") is None, reason="gdb-multiarch is not installed"
)


@needs_gdb
def test_gdb_loads_and_compares(firmware: Firmware) -> None:
    project, manifest = firmware("microbit", 1)
    # QEMU has no reset that leaves its flash alone and starts from it: the vector table by hand
    start = ["set $sp = *(unsigned int *) 0", "set $pc = *(unsigned int *) 4"]
    board = real_board("microbit", gdb={"after": start})
    with blank_board("microbit") as blank:
        flashed = flash_and_identify(
            project, manifest, board, port=blank.serial, probe=f"127.0.0.1:{blank.gdb_port}"
        )
        assert flashed.outcome.verified and flashed.device_build_id == manifest.build_id


@needs_gdb
def test_gdb_tells_when_nobody_listens(firmware: Firmware) -> None:
    project, manifest = firmware("microbit", 1)
    board = real_board("microbit", gdb={})
    with pytest.raises(FlashError, match="no gdbserver listens there"):
        flash_and_identify(project, manifest, board, probe="127.0.0.1:1")


@needs_gdb
def test_gdb_tells_a_flash_that_does_not_take(firmware: Firmware, tmp_path: Path) -> None:
    """A byte changes between load and comparison."""
    project, manifest = firmware("microbit", 1)
    (tmp_path / "spoil.gdb").write_text(SPOIL, "utf-8")
    before = [f"source {tmp_path / 'spoil.gdb'}"]
    board = real_board("microbit", gdb={"before": before, "after": []})
    with blank_board("microbit") as blank:
        remote = f"127.0.0.1:{blank.gdb_port}"
        with pytest.raises(FlashError, match="differs from what was written"):
            flash_and_identify(project, manifest, board, probe=remote)
