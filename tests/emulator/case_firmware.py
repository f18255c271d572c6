"""A firmware that runs cases of the ladder on a board and sends their outputs back.

The image holds the generated C of every case, its samples as constants, and one arena that they use
in turn. Before a case starts, the arena and a guard behind it are painted: a kernel that reads what
nobody wrote, or writes behind the arena that was planned, shows.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import serial

from edgepack.emit.c_runtime import SourceText
from edgepack.emit.program import Program
from edgepack.flash import launch
from edgepack.ops.shared.kernel import Isa
from edgepack.resources import firmware_dir
from edgepack.targets import Target
from edgepack.toolchain import compile_project
from edgepack.types import Array
from tests.c_batch import Case, compile_case
from tests.emulator.case_choice import kernels_of
from tests.emulator.echo_project import write_project
from tests.ops.collection import Collected
from tests.ops.ladder import Tolerance, compare, numpy_outputs

_PER_SOURCE = 12  # cases that are compiled together
_ANSWER_SECONDS = 30.0  # until the next byte comes, on a busy computer
_GUARD_BYTES = 32
_HEADER = b"case"


@dataclass(frozen=True, eq=False)
class BoardCase:
    """A case compiled to C for the kernels that a board may use."""

    collected: Collected
    name: str
    program: Program
    text: SourceText

    @classmethod
    def of(cls, collected: Collected, number: int, target: Target) -> BoardCase:
        case = replace(collected.case, isa=Isa(frozenset(target.isa)))
        name = f"case{number}"
        return cls(collected, name, *compile_case(case, name))

    @property
    def case(self) -> Case:
        return self.collected.case


def run_on_board(cases: Sequence[BoardCase], target: Target, folder: Path) -> int:
    """Build one image of the cases, run it, and compare every output; returns the image's flash.

    Raises:
        FitError: the cases do not fit the board together.
        AssertionError: an output differs, an inference failed, or a guard was overwritten.
    """
    manifest = write_project(folder, target, _main(cases))
    firmware = firmware_dir()
    for name in ("runtime", "kernels"):
        shutil.copytree(firmware / name, folder / "firmware" / name)
    sources = ["main.c"]
    for start in range(0, len(cases), _PER_SOURCE):
        part = cases[start : start + _PER_SOURCE]
        for case in part:
            (folder / case.text.header_name).write_text(case.text.header, "utf-8")
            (folder / case.text.source_name).write_text(case.text.source, "utf-8")
        sources.append(f"cases{start}.c")
        (folder / sources[-1]).write_text(_cases(part), "utf-8")
    manifest = manifest.model_copy(
        update={
            "sources": (*sources, *manifest.sources[1:]),
            "include_dirs": (".", "firmware/runtime", "firmware/kernels", *manifest.include_dirs),
        }
    )
    built = compile_project(folder, manifest, target)
    with launch(folder, built, target) as board:
        port = serial.serial_for_url(board.url, timeout=_ANSWER_SECONDS)
        try:
            for case in cases:
                _check(case, port, target)
        finally:
            port.close()
    assert built.sizes is not None
    return built.sizes.flash_total


def _check(board_case: BoardCase, port: serial.SerialBase, target: Target) -> None:
    """Read what the board computed for one case and compare it with numpy."""
    case = board_case.case
    where = f"{target.id}: {case.id} ({', '.join(sorted(kernels_of(board_case.program)))})"
    collected = board_case.collected
    tolerance = Tolerance(collected.relative, collected.absolute, f"of {collected.test}")
    main = board_case.program.main.graph
    for number, expected in enumerate(numpy_outputs(case)):
        header = _read(port, len(_HEADER) + 2, where)
        assert header.startswith(_HEADER), f"{where}, sample {number}: {header!r}"
        status, guard = header[len(_HEADER) :]
        assert status == 0, f"{where}, sample {number}: status {status}"
        assert guard == 0, f"{where}, sample {number}: written behind the arena"
        got: list[Array] = []
        for tensor in (main.tensors[i] for i in main.outputs):
            raw = _read(port, tensor.nbytes, where)
            got.append(np.frombuffer(raw, tensor.dtype.numpy).reshape(tensor.shape))
        compare(f"{where}, sample {number}", got, expected, tolerance)


def _read(port: serial.SerialBase, count: int, where: str) -> bytes:
    data = bytes(port.read(count))
    assert len(data) == count, f"{where}: {len(data)} of {count} bytes came: {data!r}"
    return data


def _main(cases: Sequence[BoardCase]) -> str:
    largest = max(case.program.arena_bytes for case in cases)
    declarations = "\n".join(f"void run_{c.name}(uint8_t *arena);" for c in cases)
    calls = "\n".join(f"    run_{c.name}(arena);" for c in cases)
    return f"""#include <stdint.h>

#include "ep_port.h"

{declarations}

__attribute__((section(".bss.ep_arena"), aligned(16)))
static uint8_t arena[{largest + _GUARD_BYTES}];

int ep_main(void) {{
    ep_port_init();
{calls}
    for (;;) {{
        ep_port_idle();
    }}
}}
"""


def _cases(cases: Sequence[BoardCase]) -> str:
    includes = "\n".join(f'#include "{case.text.source_name}"' for case in cases)
    return (
        '#include <string.h>\n\n#include "ep_port.h"\n'
        + includes
        + _HELPERS
        + "\n".join(_driver(case) for case in cases)
    )


_HELPERS = f"""
static void answer(ep_status status, const uint8_t *guard) {{
    uint8_t head[{len(_HEADER) + 2}] = "{_HEADER.decode()}";
    head[{len(_HEADER)}] = (uint8_t)status;
    for (int i = 0; i < {_GUARD_BYTES}; ++i) {{
        head[{len(_HEADER) + 1}] |= (uint8_t)(guard[i] ^ 0xA5u);
    }}
    ep_port_write(head, sizeof head);
}}
"""


def _driver(board_case: BoardCase) -> str:
    name, case = board_case.name, board_case.case
    macro = f"EP_{name.upper()}"
    graph = board_case.program.main.graph
    constants, steps = [], []
    for s, sample in enumerate(case.samples):
        for i, array in enumerate(sample):
            data = np.ascontiguousarray(array).tobytes()
            if not data:
                continue
            text = ",".join(map(str, data))
            constants.append(f"static const uint8_t {name}_{s}_{i}[{len(data)}] = {{{text}}};")
            steps.append(f"    memcpy(ep_{name}_input_{i}(&m), {name}_{s}_{i}, {len(data)}u);")
        steps.append(f"    status = ep_{name}_invoke(&m);")
        steps.append(f"    answer(status, arena + {macro}_ARENA_BYTES);")
        steps += [
            f"    ep_port_write(ep_{name}_output_{o}(&m), {macro}_OUTPUT_{o}_BYTES);"
            for o in range(len(graph.outputs))
        ]
    body = "\n".join(steps)
    return f"""
{chr(10).join(constants)}
void run_{name}(uint8_t *arena);
void run_{name}(uint8_t *arena) {{
    ep_{name} m;
    memset(arena, 0xA5, {macro}_ARENA_BYTES + {_GUARD_BYTES}u);
    ep_status status = ep_{name}_init(&m, arena, {macro}_ARENA_BYTES);
    if (status != EP_OK) {{
        answer(status, arena + {macro}_ARENA_BYTES);
        return;
    }}
{body}
}}
"""
