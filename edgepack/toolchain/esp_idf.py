"""ESP-IDF as a toolchain: `idf.py` compiles, links and packs what emit/esp_idf.py wrote."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from edgepack import runner
from edgepack.emit.esp_idf import FILES, PROJECT_NAME, TOOLCHAIN, emit_esp_idf
from edgepack.errors import BuildError, ProjectError
from edgepack.manifest import Manifest, ToolchainInfo, write_manifest
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler
from edgepack.toolchain.elf import read_image
from edgepack.toolchain.gcc import version_line

PROGRAM = "idf.py"
INSTALL = "install ESP-IDF 5.3 or newer, then in this shell: . $IDF_PATH/export.sh"
IMAGE = f"build/{PROJECT_NAME}.elf"
FLASHER_ARGS = "build/flasher_args.json"  # which file goes where in flash, for esptool
_SECONDS = 1800.0  # a first build compiles all of IDF


@dataclass(frozen=True)
class EspIdf:
    """ESP-IDF, found by its front end on PATH."""

    name: str = TOOLCHAIN

    def supports(self, target: Target) -> bool:
        return TOOLCHAIN in target.soc.toolchain

    def installed(self, target: Target) -> bool:
        return runner.which(PROGRAM) is not None and "IDF_PATH" in os.environ

    def install(self, target: Target) -> str:
        return INSTALL

    def find(self, target: Target) -> Compiler:
        """The front end; what it calls is IDF's own affair.

        Raises:
            MissingToolError: no ESP-IDF environment is set up in this shell.
        """
        program = runner.require(PROGRAM, install=INSTALL)
        return Compiler(
            name=self.name,
            cc=(program,),
            cxx=None,
            version=version_line(program),
            target_flags=(),
            compile_flags=(),
            link_flags=(),
            link_libs=(),
            install_cxx=INSTALL,
        )


def compile_esp_idf(
    project: Path, manifest: Manifest, target: Target, compiler: Compiler
) -> Manifest:
    """Run `idf.py build` and write the manifest again.

    IDF's linker script places everything and refuses what does not fit, so edgepack measures
    nothing here: `sizes` stays None (`idf.py size` tells them).

    Raises:
        BuildError: IDF refused; the end of what it said is included.
        ProjectError: it left no image.
    """
    if not all((project / name).is_file() for name in FILES):
        emit_esp_idf(project, manifest, target)
    argv = (*compiler.cc, "build")
    result = runner.run(argv, timeout=_SECONDS, cwd=project, check=False, what=f"{PROGRAM} build")
    if result.returncode != 0:
        raise BuildError(
            f"ESP-IDF could not build the project:\n{result.tail(20)}",
            next_step=f"cd PROJECT && {PROGRAM} build",
        )
    read_image(project / IMAGE)
    done = manifest.model_copy(
        update={
            "image": IMAGE,
            "files": {"flasher_args": _flasher_args(project)},
            "toolchain": ToolchainInfo(name=compiler.name, version=compiler.version, flags=()),
        }
    )
    write_manifest(project, done)
    return done


def _flasher_args(project: Path) -> str:
    """The file that tells esptool what to write; checked to name files that are there."""
    path = project / FLASHER_ARGS
    try:
        files: dict[str, str] = json.loads(path.read_text("utf-8"))["flash_files"]
    except (OSError, ValueError, KeyError) as error:
        raise ProjectError(f"ESP-IDF left no usable {FLASHER_ARGS}: {error}") from error
    missing = [name for name in files.values() if not (path.parent / name).is_file()]
    if missing or not files:
        raise ProjectError(f"{FLASHER_ARGS} names {', '.join(missing) or 'no files'}")
    return FLASHER_ARGS
