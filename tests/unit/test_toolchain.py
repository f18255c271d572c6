"""The cross build: sizes counted by hand, images refused, errors that say what to do."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.errors import BuildError, ConfigError, FitError, MissingToolError, ProjectError
from edgepack.manifest import Manifest, read_manifest
from edgepack.targets import load_target
from edgepack.toolchain import (
    check_image,
    compile_project,
    find_compiler,
    read_image,
    render_linker_script,
)
from tests.emulator.echo_project import write_project

needs_gcc = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
# 1000 weights, a table of 300, an arena of 4096, 100 initialised and 200 zeroed bytes
SIZED = """
#include "ep_port.h"
__attribute__((section(".rodata.ep_weights"))) static const uint8_t weights[1000] = {1u};
__attribute__((section(".rodata.ep_tables"))) static const uint8_t table[300] = {2u};
__attribute__((section(".bss.ep_arena"), aligned(16))) static uint8_t ep_bench_arena[%d];
static uint8_t initialised[100] = {3u};
static uint8_t zeroed[200];
int ep_main(void) {
    volatile uint32_t at = 5u;
    volatile uint32_t sink = 0u;
    for (;;) { /* an index that the compiler cannot see, and stores that it cannot drop */
        sink = sink + weights[at] + table[at] + ep_bench_arena[at] + initialised[at] + zeroed[at];
        initialised[at] = ep_bench_arena[at] = zeroed[at] = (uint8_t)sink;
    }
}
"""


def build(folder: Path, source: str, target: str = "netduinoplus2") -> Manifest:
    chosen = load_target(target)
    return compile_project(folder, write_project(folder, chosen, source), chosen)


@needs_gcc
def test_sizes_are_those_of_the_sources(tmp_path: Path) -> None:
    manifest = build(tmp_path / "p", SIZED % 4096)
    sizes = manifest.sizes
    assert sizes is not None
    assert sizes.flash_weights == 1000
    assert sizes.ram_arena == 4096
    assert sizes.ram_stack_reserved == load_target("netduinoplus2").stack.bytes
    assert sizes.flash_tables >= 300
    # the port's own data and alignment come on top
    assert 300 <= sizes.ram_static < 300 + 2048
    assert sizes.ram_total == sizes.ram_static + sizes.ram_arena + sizes.ram_stack_reserved
    raw = tmp_path / "raw.bin"
    elf = tmp_path / "p" / "build" / "firmware.elf"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(raw)], check=True)
    image = raw.read_bytes()
    # a raw image has the gaps between sections as well: at most 16 bytes each
    assert sizes.flash_total <= len(image) <= sizes.flash_total + 8 * 16
    assert read_manifest(tmp_path / "p") == manifest


@needs_gcc
def test_the_host_counts_the_same_weights(tmp_path: Path) -> None:
    manifest = build(tmp_path / "p", SIZED % 4096, "host")
    assert manifest.sizes is not None
    assert (manifest.sizes.flash_weights, manifest.sizes.ram_arena) == (1000, 4096)


@needs_gcc
def test_the_image_does_not_depend_on_where_it_was_built(tmp_path: Path) -> None:
    images = []
    for name in ("a", "longer/name"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        build(tmp_path / name, SIZED % 4096)
        images.append((tmp_path / name / "build" / "firmware.elf").read_bytes())
    assert images[0] == images[1]
    assert str(tmp_path).encode() not in images[0]


@needs_gcc
def test_the_start_up_code_is_small_and_free_of_libc(tmp_path: Path) -> None:
    source = (
        '#include "ep_port.h"\nint ep_main(void) { ep_port_init(); for (;;) { ep_port_idle(); } }\n'
    )
    manifest = build(tmp_path / "p", source)
    assert manifest.sizes is not None
    assert manifest.sizes.flash_code + manifest.sizes.flash_tables < 2048
    names = set(read_image(tmp_path / "p" / "build" / "firmware.elf").symbols)
    assert not names & {"exit", "atexit", "malloc", "_impure_ptr", "_sbrk", "__libc_init_array"}


@needs_gcc
def test_too_much_ram_is_refused_with_the_exact_overflow(tmp_path: Path) -> None:
    target = load_target("netduinoplus2")
    fits = build(tmp_path / "fits", SIZED % 4096)
    assert fits.sizes is not None and target.ram_bytes is not None
    room = target.ram_bytes - fits.sizes.ram_total + 4096
    with pytest.raises(FitError) as caught:
        build(tmp_path / "p", SIZED % (room + 1600))
    # sections are aligned to 16 bytes
    message = caught.value.message
    assert "sram: needs" in message and "arena" in message
    missing = int(message.split(" too many")[0].split()[-1].replace(",", ""))
    assert 1600 - 64 <= missing <= 1600 + 64
    assert "mps2-an386" in (caught.value.allowed or "")
    assert not (tmp_path / "p" / "build" / "firmware.elf").exists()


@needs_gcc
def test_too_much_flash_is_refused(tmp_path: Path) -> None:
    source = SIZED.replace("weights[1000]", "weights[1100000]") % 64
    with pytest.raises(FitError, match=r"flash: needs 1,10\d,\d{3} bytes of 1,048,576") as caught:
        build(tmp_path / "p", source)
    assert "channels" in (caught.value.next_step or "")


@needs_gcc
def test_a_compiler_error_is_shown_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"could not compile main\.c") as caught:
        build(tmp_path / "p", "int ep_main(void) { return undeclared; }\n")
    assert "undeclared" in caught.value.message


@needs_gcc
def test_warnings_are_errors(tmp_path: Path) -> None:
    source = "int ep_main(void) { int unused; return 0; }\n"
    with pytest.raises(BuildError, match="Werror"):
        build(tmp_path / "p", source)


@needs_gcc
def test_a_linker_error_is_shown(tmp_path: Path) -> None:
    source = "int missing_function(void);\nint ep_main(void) { return missing_function(); }\n"
    with pytest.raises(BuildError, match="undefined reference to `missing_function'"):
        build(tmp_path / "p", source)


@needs_gcc
@pytest.mark.parametrize("name", ["netduinoplus2", "mps2-an505", "microbit"])
def test_a_sound_image_passes_and_a_spoilt_one_does_not(tmp_path: Path, name: str) -> None:
    target = load_target(name)
    build(tmp_path / "p", SIZED % 64, name)
    image = read_image(tmp_path / "p" / "build" / "firmware.elf")
    check_image(image, target)

    def spoilt(offset: int, word: int) -> None:
        sections = tuple(
            replace(
                section,
                data=section.data[:offset]
                + word.to_bytes(4, "little")
                + section.data[offset + 4 :],
            )
            if section.name == ".ep_vectors"
            else section
            for section in image.sections
        )
        check_image(replace(image, sections=sections), target)

    with pytest.raises(BuildError, match="initial stack pointer 0x00001000 is not in RAM"):
        spoilt(0, 0x1000)
    handler = int.from_bytes(image.sections[0].data[4:8], "little")
    with pytest.raises(BuildError, match=r"vector 1 is 0x[0-9A-F]{8}, which is not Thumb code"):
        spoilt(4, handler & ~1)
    with pytest.raises(BuildError, match="it is EM_RISCV, not EM_ARM"):
        check_image(replace(image, machine="EM_RISCV"), target)
    with pytest.raises(BuildError, match="no start-up code"):
        check_image(replace(image, sections=image.sections[1:]), target)


@needs_gcc
def test_an_image_for_another_board_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "p", SIZED % 64, "mps2-an505")
    image = read_image(tmp_path / "p" / "build" / "firmware.elf")
    with pytest.raises(BuildError, match="outside the memory regions"):
        check_image(image, load_target("netduinoplus2"))


def test_a_missing_compiler_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    for module in ("zig", "hostcc"):
        monkeypatch.setattr(f"edgepack.toolchain.{module}.find_zig", lambda: None)
    with pytest.raises(MissingToolError) as caught:
        find_compiler(load_target("netduinoplus2"))
    assert "looked for gcc, clang, zig" in caught.value.message
    for command in ("apt-get install gcc-arm-none-eabi", "apt-get install clang", "edgepack[zig]"):
        assert command in (caught.value.allowed or "")
    assert (caught.value.next_step or "").startswith("sudo apt-get install gcc-arm-none-eabi")
    with pytest.raises(MissingToolError, match="no C compiler"):
        find_compiler(load_target("host"))


def test_a_toolchain_that_the_target_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        find_compiler(load_target("netduinoplus2"), "host")
    assert caught.value.allowed == "gcc, clang, zig"


def test_a_project_for_another_target_is_refused(tmp_path: Path) -> None:
    manifest = write_project(tmp_path / "p", load_target("netduinoplus2"), "")
    with pytest.raises(ProjectError, match="was generated for netduinoplus2, not for microbit"):
        compile_project(tmp_path / "p", manifest, load_target("microbit"))


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    target = load_target("netduinoplus2")
    manifest = write_project(tmp_path / "p", target, "")
    (tmp_path / "p" / "main.c").unlink()
    with pytest.raises(ProjectError, match=r"lacks main\.c"):
        compile_project(tmp_path / "p", manifest, target)


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.elf").write_bytes(b"not an ELF file")
    with pytest.raises(ProjectError, match="is not an ELF image"):
        read_image(tmp_path / "x.elf")
    with pytest.raises(ProjectError, match="does not exist"):
        read_image(tmp_path / "y.elf")


def test_the_linker_script_holds_the_record_and_no_arithmetic() -> None:
    text = render_linker_script(load_target("netduinoplus2"))
    assert "flash (rx) : ORIGIN = 0x08000000, LENGTH = 0x00100000" in text
    assert "sram (rwx) : ORIGIN = 0x20000000, LENGTH = 0x00020000" in text
    assert ". = . + 8192;" in text
    assert "{{" not in text and "{%" not in text
