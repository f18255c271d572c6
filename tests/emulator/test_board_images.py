"""The firmware of one small model, compiled for every board that there is a record of.

What the image must look like is read from the ELF file here, apart from toolchain/image_check.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import Memory, Target, Verified, load_target, load_targets
from edgepack.toolchain import check_image, read_image
from tests.small_models import small_cnn

BOARDS = [t.id for t in load_targets() if t.layout is not None and "gcc" in t.soc.toolchain]


class Built:
    """What an ELF file says."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            elf = ELFFile(file)
            self.entry: int = elf["e_entry"]
            self.bits = elf.elfclass
            self.loads = [
                (s["p_paddr"], s["p_filesz"])
                for s in elf.iter_segments()
                if s["p_type"] == "PT_LOAD" and s["p_filesz"]
            ]
            vectors = elf.get_section_by_name(".ep_vectors")
            assert vectors is not None
            self.vectors: bytes = vectors.data()
            self.sections = {
                s.name: (s["sh_addr"], s["sh_size"])
                for s in elf.iter_sections()
                if s["sh_flags"] & 2
            }
            table = elf.get_section_by_name(".symtab")
            assert isinstance(table, SymbolTableSection)
            self.symbols = {s.name: s["st_value"] for s in table.iter_symbols()}

    def word(self, number: int) -> int:
        return int.from_bytes(self.vectors[4 * number : 4 * number + 4], "little")


def inside(region: Memory, address: int, size: int) -> bool:
    return region.origin <= address and address + size <= region.end


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(small_cnn())
    return path


@pytest.mark.emulator
@pytest.mark.parametrize("name", BOARDS)
def test_image(name: str, model: Path, tmp_path: Path) -> None:
    target = load_target(name)
    compiler = target.soc.toolchain["gcc"].prefix + "gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    manifest = build_project(BuildRequest(model, name), tmp_path / "p")
    path = tmp_path / "p" / (manifest.image or "")
    check_image(read_image(path), target)
    image = Built(path)
    assert image.bits == 32
    check_places(image, target)
    if target.soc.cpu.arch.startswith("rv"):
        assert image.entry == image.symbols["ep_reset_handler"] == code_start(target)
    else:
        check_vectors(image, target)
    sizes = manifest.sizes
    assert sizes is not None and sizes.ram_stack_reserved == target.stack.bytes
    assert target.flash_bytes is not None and 0 < sizes.flash_total <= target.flash_bytes
    assert target.ram_bytes is not None and 0 < sizes.ram_total <= target.ram_bytes
    assert sizes.ram_arena == manifest.arena_bytes
    # the records say no more than what the tests of this folder did
    assert target.verified in (Verified.COMPILED, Verified.EMULATED)


def code_start(target: Target) -> int:
    assert target.layout is not None
    return target.region(target.layout.code).origin


def check_places(image: Built, target: Target) -> None:
    layout = target.layout
    assert layout is not None
    flash = [region for region in target.memory if region.kind == "flash"]
    for address, size in image.loads:
        assert any(inside(region, address, size) for region in flash), hex(address)
    # a segment may hold several regions' worth only where these touch
    places = {
        ".ep_vectors": layout.code,
        ".text": layout.code,
        ".ep_weights": layout.weights,
        ".ep_stack": layout.stack,
        ".data": layout.data,
        ".bss": layout.data,
        ".ep_arena": layout.arena,
    }
    assert {".ep_vectors", ".text", ".ep_weights", ".ep_stack", ".bss", ".ep_arena"} <= set(
        image.sections
    )
    for section, region in places.items():
        if section in image.sections:
            assert inside(target.region(region), *image.sections[section]), section
    low, size = image.sections[".ep_stack"]
    assert low == target.region(layout.stack).origin, "the stack does not end at the region's edge"
    assert size == target.stack.bytes


def check_vectors(image: Built, target: Target) -> None:
    assert target.layout is not None and target.uart.irq is not None
    assert image.sections[".ep_vectors"][0] == code_start(target)
    stack = target.region(target.layout.stack)
    assert image.word(0) == image.symbols["ep_ld_stack_high"]
    assert image.word(0) % 8 == 0 and inside(stack, image.word(0) - 4, 4)
    assert image.word(1) == image.entry == image.symbols["ep_reset_handler"]
    assert image.word(16 + target.uart.irq) == image.symbols["ep_port_uart_irq"]
    text, size = image.sections[".text"]
    for number in range(1, len(image.vectors) // 4):
        handler = image.word(number)
        assert handler == 0 or (handler & 1 and text <= handler < text + size), number
