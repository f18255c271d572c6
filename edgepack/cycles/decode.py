"""objdump's listing of an image -> instructions with their class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepack import runner
from edgepack.cycles.tables import Class
from edgepack.errors import ProjectError

_SECONDS = 60.0
_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\t(.*))?$")
_REGISTER = re.compile(r"\b(?:r\d+|sb|sl|fp|ip|sp|lr|pc)\b")
_ADDRESS = re.compile(r"\[([^\]]*)\]")
_VECTOR = re.compile(r"\bq\d")
_CONDITIONS = ("eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_SYSTEM = ("mrs", "msr", "dsb", "dmb", "isb", "cps", "wfi", "wfe", "svc")
# in the order in which they are tried: a longer mnemonic before its own beginning
_BY_PREFIX = (
    (("umaal", "umlal"), Class.MULTIPLY_ADD_LONG),
    (("umull", "smull"), Class.MULTIPLY_LONG),
    (("smlalb", "smlalt", "smlald", "smlsld"), Class.MULTIPLY_DSP),
    (("smlal",), Class.MULTIPLY_ADD_LONG),
    (("smla", "smul", "smua", "smus", "smls", "smm", "usad"), Class.MULTIPLY_DSP),
    (("mla", "mls"), Class.MULTIPLY_ADD),
    (("mul",), Class.MULTIPLY),
    (("sdiv", "udiv"), Class.DIVIDE),
    (("ldrd", "ldrexd"), Class.LOAD_PAIR),
    (("strd", "strexd"), Class.STORE_PAIR),
    (("ldm", "pop", "vpop", "vldm"), Class.LOAD_MULTIPLE),
    (("stm", "push", "vpush", "vstm"), Class.STORE_MULTIPLE),
    (("ldr", "vldr"), Class.LOAD),
    (("str", "vstr"), Class.STORE),
    (("vdiv", "vsqrt"), Class.FP_DIVIDE),
    (("vmla", "vmls", "vnml", "vfma", "vfms", "vfnm"), Class.FP_MULTIPLY_ADD),
    (_SYSTEM, Class.SYSTEM),
)


@dataclass(frozen=True)
class Instruction:
    """One instruction: `registers` counts the words of a multiple load or store.

    target: the register that it writes first, or None. address: the registers of its address.
    """

    mnemonic: str
    kind: Class
    following: int
    registers: int = 0
    target: str | None = None
    address: frozenset[str] = frozenset()
    loads_pc: bool = False


def listing(objdump: str, image: Path, machine: str | None) -> dict[int, Instruction]:
    """The instructions of an image by address.

    Raises:
        MissingProjectError: objdump does not exist.
        CommandError: it failed.
        ProjectError: it printed nothing that is an instruction.
    """
    options = () if machine is None else ("-m", machine)
    command = (objdump, "-d", "--no-show-raw-insn", *options, str(image))
    found = parse(runner.run(command, timeout=_SECONDS, what="disassemble the image").stdout)
    if not found:
        raise ProjectError(f"{objdump} found no instruction in {image}")
    return found


def parse(text: str) -> dict[int, Instruction]:
    """Instructions by address, from what `objdump -d --no-show-raw-insn` prints for Arm."""
    lines = [match.groups() for match in map(_LINE.match, text.splitlines()) if match]
    found = {}
    for place, (address, mnemonic, operands) in enumerate(lines):
        if mnemonic.startswith("."):
            continue  # data between functions
        behind = lines[place + 1][0] if place + 1 < len(lines) else address
        clean = re.split(r"\s*[@;]|//", operands or "")[0]
        found[int(address, 16)] = _instruction(mnemonic, clean, int(behind, 16))
    return found


def _instruction(mnemonic: str, operands: str, following: int) -> Instruction:
    kind = classify(mnemonic, operands)
    first = operands.partition(",")[0]
    in_address = _ADDRESS.search(operands)
    loads = kind in (Class.LOAD, Class.LOAD_MULTIPLE)
    into = operands if kind is Class.LOAD_MULTIPLE else first
    writes = kind not in (Class.STORE, Class.STORE_INDEXED, Class.STORE_PAIR, Class.BRANCH)
    return Instruction(
        mnemonic,
        kind,
        following,
        registers=_words(operands) if kind in (Class.LOAD_MULTIPLE, Class.STORE_MULTIPLE) else 0,
        target=first.strip() if writes and _REGISTER.fullmatch(first.strip()) else None,
        address=frozenset(_REGISTER.findall(in_address[1])) if in_address else frozenset(),
        loads_pc=loads and "pc" in _REGISTER.findall(into),
    )


def classify(mnemonic: str, operands: str) -> Class:
    """The class of an instruction as objdump prints it."""
    name = mnemonic.split(".")[0]
    if name in ("le", "letp"):
        return Class.LOOP_END
    if name in ("cbz", "cbnz", "wls", "wlstp") or _is(name, ("b", "bx")):
        return Class.BRANCH
    if _is(name, ("bl", "blx")):
        return Class.CALL
    if name in ("tbb", "tbh"):
        return Class.TABLE_BRANCH
    if name.startswith("v") and _VECTOR.search(operands):
        memory = name.startswith(("vld", "vst"))
        return Class.VECTOR_MEMORY if memory else Class.VECTOR
    for prefixes, kind in _BY_PREFIX:
        if name.startswith(prefixes):
            if kind is Class.STORE and "," in operands and _register_offset(operands):
                return Class.STORE_INDEXED
            return kind
    return Class.FP if name.startswith("v") else Class.ALU


def _is(name: str, bases: tuple[str, ...]) -> bool:
    """Whether a mnemonic is one of `bases`, with or without a condition."""
    return name in bases or (name[:-2] in bases and name[-2:] in _CONDITIONS)


def _register_offset(operands: str) -> bool:
    inside = _ADDRESS.search(operands)
    return inside is not None and len(_REGISTER.findall(inside[1])) > 1


def _words(operands: str) -> int:
    """How many words a register list holds."""
    inside = re.search(r"\{([^}]*)\}", operands)
    if inside is None:
        return 0
    words = 0
    for part in inside[1].split(","):
        first, _, last = part.strip().partition("-")
        count = int(last[1:]) - int(first[1:]) + 1 if last else 1
        words += count * (2 if first.startswith("d") else 1)
    return words


def find_objdump(prefix: str) -> str:
    """objdump of the toolchain whose programs begin with `prefix`.

    Raises:
        MissingProjectError: it is not installed.
    """
    return runner.require(f"{prefix}objdump", install="edgepack doctor")


Listing = Mapping[int, Instruction]
