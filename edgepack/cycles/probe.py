"""Counts blocks while QEMU runs a project: our plugin, compiled on the spot, watches the model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgepack import runner
from edgepack.cycles.count import cycles, instructions, read_runs
from edgepack.cycles.decode import Listing, find_objdump, listing
from edgepack.cycles.tables import TABLES, CycleTable
from edgepack.errors import ProjectError, UnsupportedError
from edgepack.resources import firmware_dir
from edgepack.targets import Kind, Target
from edgepack.toolchain import read_image

_SOURCE = "emulator/ep_block_counts.c"
# The counter is read before and after this call (firmware/bench/ep_run.c).
_START, _STOP = "ep_bench_invoke", "ep_port_ticks"
_SECONDS = 60.0
_FLAGS = ("-std=c99", "-O2", "-fPIC", "-shared", "-fvisibility=hidden")


@dataclass(frozen=True)
class CycleProbe:
    """What a run of a project needs to be counted, and then tells.

    arguments: for QEMU's command line. table: the model of the core.
    """

    arguments: tuple[str, ...]
    table: CycleTable
    counts: Path
    listing: Listing

    def cycles(self) -> tuple[float, ...]:
        """The modelled cycles of every inference so far, oldest first.

        Raises:
            ProjectError: what was counted does not fit the image.
        """
        return tuple(cycles(run, self.listing, self.table) for run in read_runs(self._text()))

    def instructions(self) -> tuple[int, ...]:
        """The instructions of every inference so far, which the device counts too."""
        return tuple(instructions(run, self.listing) for run in read_runs(self._text()))

    def _text(self) -> str:
        return self.counts.read_text(encoding="ascii") if self.counts.exists() else ""


def prepare(image: Path, target: Target, folder: Path) -> CycleProbe:
    """Compile the plugin and disassemble the image.

    Args:
        image: the ELF file that will run.
        target: an emulated board whose core has a table.
        folder: where plugin and counts may lie.

    Raises:
        UnsupportedError: no table for the core, or no emulator.
        MissingProjectError: no C compiler for this computer, or no objdump for the board.
        CommandError: one of them failed.
        ProjectError: the image lacks the functions to watch.
    """
    core = target.soc.cpu.core
    table = TABLES.get(core)
    emulator = target.board.emulator
    if target.kind is not Kind.EMULATED or emulator is None or table is None:
        raise UnsupportedError(
            f"there is no cycle model for {target.id} ({core}, {target.kind.value})",
            allowed=f"emulated boards with {', '.join(TABLES)}",
        )
    symbols = read_image(image).symbols
    missing = [name for name in (_START, _STOP) if name not in symbols]
    if missing:
        raise ProjectError(
            f"{image.name} has no {' and no '.join(missing)}: it is no bench firmware",
            next_step="edgepack build MODEL --target TARGET --out DIR",
        )
    start, stop = (symbols[name][0] & ~1 for name in (_START, _STOP))
    plugin = _compile(emulator.program, folder)
    counts = folder / "blocks.txt"
    argument = f"file={plugin},start={start},stop={stop},out={counts}"
    objdump = find_objdump(target.soc.toolchain["gcc"].prefix)
    return CycleProbe(("-plugin", argument), table, counts, listing(objdump, image, table.machine))


def _compile(qemu: str, folder: Path) -> Path:
    compiler = runner.require("cc", install="sudo apt-get install gcc")
    plugin = folder / "ep_block_counts.so"
    runner.run(
        (
            compiler,
            *_FLAGS,
            f"-DEP_PLUGIN_API={_plugin_api(qemu)}",
            str(firmware_dir() / _SOURCE),
            "-o",
            str(plugin),
        ),
        timeout=_SECONDS,
        what="compile the emulator's plugin",
    )
    return plugin


def _plugin_api(qemu: str) -> int:
    """The plugin interface's number: QEMU 9.0 took number 1 back."""
    text = runner.run((qemu, "--version"), timeout=_SECONDS).stdout
    found = re.search(r"version (\d+)", text)
    return 2 if found is not None and int(found[1]) >= 9 else 1
