"""What is installed, what is missing, what each thing is for, and the command that installs it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgepack import runner
from edgepack.link.adb_program import adb_path
from edgepack.toolchain.phone import ABIS

_VERSION_TIMEOUT = 10.0  # seconds; a tool that takes longer to state its version is broken


@dataclass(frozen=True)
class Probe:
    """One thing that edgepack can use.

    `packages` names it for each package manager that we know: apt, brew, pip. `required` holds for
    what `edgepack run` needs on an emulated Cortex-M board, unless the probe named by `instead` is
    found; the rest widens what can be done.
    """

    name: str
    purpose: str
    required: bool
    packages: dict[str, str]
    find: Callable[[], Finding]
    instead: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a probe found: `version` is the tool's own words, `problem` why it is unusable."""

    found: bool
    version: str = ""
    where: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Check:
    """A probe with its finding and, when it is missing, the command that installs it."""

    name: str
    purpose: str
    required: bool
    found: bool
    version: str
    where: str
    problem: str
    install: str | None

    def as_dict(self) -> dict[str, Any]:
        """The check as `edgepack doctor --json` prints it."""
        return asdict(self)


def _program(name: str, *arguments: str) -> Callable[[], Finding]:
    def find() -> Finding:
        path = runner.which(name)
        if path is None:
            return Finding(False)
        try:
            result = runner.run([path, *arguments], timeout=_VERSION_TIMEOUT, check=False)
        except runner.CommandError as error:
            return Finding(False, where=path, problem=error.message)
        lines = (result.stdout or result.stderr).strip().splitlines()
        if result.returncode != 0:
            return Finding(False, where=path, problem=f"exit code {result.returncode}")
        return Finding(True, version=lines[0].strip() if lines else "", where=path)

    return find


def _package(module: str, distribution: str) -> Callable[[], Finding]:
    """Find a Python package without importing it (TensorFlow alone takes seconds)."""

    def find() -> Finding:
        spec = importlib.util.find_spec(module)
        if spec is None:
            return Finding(False)
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        return Finding(True, version=version, where=str(Path(spec.origin or "").parent))

    return find


def _adb() -> Finding:
    path = adb_path()
    if path is None:
        return Finding(False)
    done = runner.run([path, "version"], timeout=_VERSION_TIMEOUT, check=False)
    words = [line for line in done.stdout.splitlines() if line.startswith("Version")]
    return Finding(done.returncode == 0, " ".join(words), path)


def _python() -> Finding:
    return Finding(True, version=platform.python_version(), where=sys.executable)


def _newlib() -> Finding:
    compiler = runner.which("arm-none-eabi-gcc")
    if compiler is None:
        return Finding(False)
    argv = [compiler, "-print-file-name=libc.a"]
    path = Path(runner.run(argv, timeout=_VERSION_TIMEOUT, check=False).stdout.strip())
    # without it, gcc echoes the bare name back
    return Finding(path.is_absolute() and path.is_file(), where=str(path))


def _arm_cxx() -> Finding:
    """The headers of the C++ library, which come in a package of their own."""
    compiler = runner.which("arm-none-eabi-g++")
    if compiler is None:
        return Finding(False)
    probe = [compiler, "-mcpu=cortex-m4", "-mthumb", "-x", "c++", "-E", "-"]
    text = "#include <algorithm>\n"
    done = runner.run(probe, timeout=_VERSION_TIMEOUT, stdin=text, check=False)
    return Finding(done.returncode == 0, where=compiler)


def _serial_access() -> Finding:
    """Whether this user may open serial ports; a missing group is the usual first obstacle."""
    ports = sorted(str(p) for pattern in ("ttyACM*", "ttyUSB*") for p in Path("/dev").glob(pattern))
    if not ports:
        return Finding(True, version="no board is attached")
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        return Finding(False, where=closed[0], problem="this user may not open it")
    return Finding(True, version=f"{len(ports)} ports", where=ports[0])


_ARM = {"apt": "gcc-arm-none-eabi libnewlib-arm-none-eabi", "brew": "--cask gcc-arm-embedded"}

PROBES: tuple[Probe, ...] = (
    Probe("python", "runs edgepack (3.11 or newer)", True, {}, _python),
    Probe(
        "ai-edge-litert",
        "LiteRT, the host's side of every comparison",
        True,
        {"pip": "ai-edge-litert"},
        _package("ai_edge_litert", "ai-edge-litert"),
    ),
    Probe(
        "tflite-micro",
        "TFLite Micro's interpreter, the oracle of bit-exactness",
        True,
        {"pip": "tflite-micro"},
        _package("tflite_micro", "tflite_micro"),
    ),
    Probe(
        "arm-none-eabi-gcc",
        "compiles for Cortex-M",
        True,
        _ARM,
        _program("arm-none-eabi-gcc", "--version"),
        instead="ziglang",
    ),
    Probe("newlib", "the C library of arm-none-eabi-gcc", True, _ARM, _newlib, instead="ziglang"),
    Probe(
        "qemu-system-arm",
        "emulates Cortex-M boards",
        True,
        {"apt": "qemu-system-arm", "brew": "qemu"},
        _program("qemu-system-arm", "--version"),
        instead="unicorn",
    ),
    Probe(
        "ziglang",
        "compiles for every board and this computer without root rights (docs/toolchains.md)",
        False,
        {"pip": "edgepack[zig]"},
        _package("ziglang", "ziglang"),
    ),
    Probe(
        "unicorn",
        "emulates Cortex-M0 to M33 boards without root rights",
        False,
        {"pip": "edgepack[sim]"},
        _package("unicorn", "unicorn"),
    ),
    Probe(
        "gcc",
        "compiles for the host target",
        False,
        {"apt": "gcc libc6-dev", "brew": "gcc"},
        _program("gcc", "--version"),
    ),
    Probe(
        "tensorflow",
        "trains, compresses and converts Keras models",
        False,
        {"pip": "edgepack[tf]"},
        _package("tensorflow", "tensorflow"),
    ),
    Probe(
        "arm-none-eabi C++ library",
        "compiles TFLite Micro for Cortex-M (--runtime tflm; 1.6 GB)",
        False,
        {"apt": "libstdc++-arm-none-eabi-newlib", "brew": _ARM["brew"]},
        _arm_cxx,
    ),
    Probe(
        "riscv64-unknown-elf-gcc",
        "compiles for RISC-V",
        False,
        {"apt": "gcc-riscv64-unknown-elf", "brew": "riscv-software-src/riscv/riscv-tools"},
        _program("riscv64-unknown-elf-gcc", "--version"),
    ),
    Probe(
        "qemu-system-riscv32",
        "emulates RISC-V boards",
        False,
        {"apt": "qemu-system-misc", "brew": "qemu"},
        _program("qemu-system-riscv32", "--version"),
    ),
    Probe(
        "clang",
        "a second compiler for boards and the host target",
        False,
        {"apt": "clang", "brew": "llvm"},
        _program("clang", "--version"),
    ),
    Probe(
        "pyocd",
        "flashes boards over a debug probe",
        False,
        {"pip": "edgepack[flash]"},
        _package("pyocd", "pyocd"),
    ),
    Probe(
        "esptool",
        "flashes ESP32 boards",
        False,
        {"pip": "edgepack[flash]"},
        _package("esptool", "esptool"),
    ),
    Probe(
        "openocd",
        "flashes boards over a debug probe, where pyOCD cannot",
        False,
        {"apt": "openocd", "brew": "open-ocd"},
        _program("openocd", "--version"),
    ),
    Probe(
        "gdb-multiarch",
        "flashes boards through any gdbserver",
        False,
        {"apt": "gdb-multiarch", "brew": "gdb"},
        _program("gdb-multiarch", "--version"),
    ),
    Probe(
        "adb",
        "reaches Android phones (docs/phones.md)",
        False,
        {"pip": "edgepack[phone]"},
        _adb,
    ),
    *(
        Probe(
            abi.gcc,
            f"compiles for {abi.name} phones; ziglang does, too",
            False,
            {"apt": abi.package},
            _program(abi.gcc, "--version"),
        )
        for abi in ABIS
    ),
    *(
        Probe(
            f"qemu-{core}-static",
            f"runs programs for {core} phones on this computer, for tests",
            False,
            {"apt": "qemu-user-static"},
            _program(f"qemu-{core}-static", "--version"),
        )
        for core in ("aarch64", "arm")
    ),
    Probe(
        "serial ports",
        "reach boards that are plugged in",
        False,
        {"command": 'sudo usermod -a -G dialout "$USER"   # then log in again'},
        _serial_access,
    ),
)


def install_command(packages: dict[str, str]) -> str | None:
    """The exact command that installs one probe's packages on this machine.

    Returns None where nothing is known to install: the thing comes with the operating system, or
    this machine's package manager is none that we know.
    """
    if "command" in packages:
        return packages["command"]
    if "pip" in packages:
        return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(packages['pip'])}"
    if "apt" in packages and runner.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"{sudo}apt-get install -y --no-install-recommends {packages['apt']}"
    if "brew" in packages and runner.which("brew"):
        return f"brew install {packages['brew']}"
    return None


def examine(probes: tuple[Probe, ...] = PROBES) -> tuple[Check, ...]:
    """Look for everything in `probes`; nothing is imported, nothing is changed."""
    checks = []
    findings = {probe.name: probe.find() for probe in probes}
    for probe in probes:
        finding = findings[probe.name]
        spare = findings.get(probe.instead) if probe.instead is not None else None
        install = None if finding.found else install_command(probe.packages)
        checks.append(
            Check(
                probe.name,
                probe.purpose,
                probe.required and not (spare is not None and spare.found),
                finding.found,
                finding.version,
                finding.where,
                finding.problem,
                install,
            )
        )
    return tuple(checks)
