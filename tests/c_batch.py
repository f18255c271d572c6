"""Compile many small models into one native program, run it under the sanitizers, read all outputs.

One translation unit holds the generated C of every case, so that hundreds of one-op models cost one
compiler run. Each case gets an arena of exactly the planned size from malloc, so that a kernel that
leaves it is caught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.emit.c_runtime import Origin, SourceText, emit_c_runtime
from edgepack.emit.program import Program, build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.resources import firmware_dir
from edgepack.runner import run
from edgepack.types import Array

WARNINGS = (
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Werror",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Wshadow",
    "-Wcast-qual",
    "-Wstrict-prototypes",
    "-Wundef",
)
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILE_SECONDS = 300.0
RUN_SECONDS = 120.0


@dataclass(frozen=True, eq=False)
class Case:
    """A model and the samples to run it on.

    Args:
        id: shown in failures.
        model: .tflite bytes.
        samples: one list per inference of one array per model input, run in order on one instance
            (state variables persist).
    """

    id: str
    model: bytes = field(repr=False)
    samples: Sequence[Sequence[Array]] = field(repr=False)
    isa: Isa = field(default_factory=Isa)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis shows of a case: the bytes of the model would fill screens."""
        printer.text(f"Case({self.id!r})")


def compile_case(case: Case, name: str) -> tuple[Program, SourceText]:
    module = load_tflite(case.model, name=name)
    program = build_program(module, case.isa)
    return program, emit_c_runtime(program, name, Origin(case.id, "0" * 64, "test"))


@dataclass(frozen=True, eq=False)
class Results:
    """outputs [case][sample][output]; per case how many bytes of its arena were ever written."""

    outputs: list[list[list[Array]]]
    high_water: list[int]


@dataclass(frozen=True, eq=False)
class Batch:
    """Cases compiled into one program, to be run with any contents of the arena."""

    cases: Sequence[Case]
    programs: Sequence[Program]
    binary: Path

    def run(self, fill: int = 0xA5) -> Results:
        """Run every case in an arena full of the byte `fill`."""
        work = self.binary.parent
        output = work / "output.bin"
        script = '"$0" "$3" < "$1" > "$2"'
        run(
            ["sh", "-c", script, str(self.binary), str(work / "input.bin"), str(output), str(fill)],
            timeout=RUN_SECONDS,
            env={"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"},
            what="run the generated C",
        )
        return _split(output.read_bytes(), self.cases, self.programs)


def run_c(
    cases: Sequence[Case],
    work: Path,
    *,
    compiler: Sequence[str] = ("gcc", "-std=c99", "-O1"),
    sanitize: bool = True,
) -> list[list[list[Array]]]:
    """Outputs [case][sample][output] of the generated C, compiled natively."""
    return build_c(cases, work, compiler=compiler, sanitize=sanitize).run().outputs


def build_c(
    cases: Sequence[Case],
    work: Path,
    *,
    compiler: Sequence[str] = ("gcc", "-std=c99", "-O1"),
    sanitize: bool = True,
) -> Batch:
    """Compile the generated C of all cases natively."""
    sources, drivers = [], []
    programs = []
    for number, case in enumerate(cases):
        program, text = compile_case(case, f"case{number}")
        programs.append(program)
        (work / text.header_name).write_text(text.header)
        (work / text.source_name).write_text(text.source)
        sources.append(f'#include "{text.source_name}"')
        drivers.append(_driver(number, program, len(case.samples)))
    calls = "\n".join(f"    run_case{n}();" for n in range(len(cases)))
    (work / "main.c").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
        + "\n".join(sources)
        + "\n\n"
        + _HELPERS
        + "\n".join(drivers)
        + "\nint main(int argc, char **argv) {\n    fill = argc > 1 ? atoi(argv[1]) : 0;\n"
        + f"{calls}\n    return 0;\n}}\n"
    )
    firmware = firmware_dir()
    includes = [f"-I{firmware / 'runtime'}", f"-I{firmware / 'kernels'}", f"-I{work}"]
    flags = [*WARNINGS, *(SANITIZERS if sanitize else []), *includes]
    binary = work / "cases"
    run(
        [*compiler, *flags, str(work / "main.c"), "-lm", "-o", str(binary)],
        timeout=COMPILE_SECONDS,
        what="compile the generated C",
    )
    (work / "input.bin").write_bytes(
        b"".join(
            np.ascontiguousarray(array).tobytes()
            for case in cases
            for sample in case.samples
            for array in sample
        )
    )
    return Batch(cases, programs, binary)


_HELPERS = """
static int fill; /* what the arena holds before init; negative: whatever malloc left there */
static void read_exactly(void *to, size_t bytes) {
    if (bytes != 0u && fread(to, bytes, 1, stdin) != 1) {
        fprintf(stderr, "short input\\n");
        exit(3);
    }
}
static void write_exactly(const void *from, size_t bytes) {
    if (bytes != 0u && fwrite(from, bytes, 1, stdout) != 1) {
        exit(4);
    }
}
static void write_high_water(const uint8_t *arena, uint32_t bytes) {
    while (fill >= 0 && bytes != 0u && arena[bytes - 1u] == (uint8_t)fill) {
        --bytes;
    }
    write_exactly(&bytes, sizeof bytes);
}
"""


def _driver(number: int, program: Program, samples: int) -> str:
    name = f"case{number}"
    macro = f"EP_CASE{number}"
    graph = program.main.graph
    reads = "\n".join(
        f"        read_exactly(ep_{name}_input_{i}(&m), {macro}_INPUT_{i}_BYTES);"
        for i in range(len(graph.inputs))
    )
    writes = "\n".join(
        f"        write_exactly(ep_{name}_output_{i}(&m), {macro}_OUTPUT_{i}_BYTES);"
        for i in range(len(graph.outputs))
    )
    return f"""
static void run_{name}(void) {{
    ep_{name} m;
    /* malloc aligns to 16; the size is exact so that the sanitizer sees every byte beyond it */
    uint8_t *arena = malloc({macro}_ARENA_BYTES + 1u);
    if (arena && fill >= 0) {{
        memset(arena, fill, {macro}_ARENA_BYTES);
    }}
    if (!arena || ep_{name}_init(&m, arena, {macro}_ARENA_BYTES) != EP_OK) {{
        fprintf(stderr, "{name}: init failed\\n");
        exit(5);
    }}
    for (int s = 0; s < {samples}; ++s) {{
{reads}
        const ep_status status = ep_{name}_invoke(&m);
        if (status != EP_OK) {{
            fprintf(stderr, "{name}: status %d\\n", (int)status);
            exit(6);
        }}
{writes}
    }}
    write_high_water(arena, {macro}_ARENA_BYTES);
    free(arena);
}}
"""


def _split(data: bytes, cases: Sequence[Case], programs: Sequence[Program]) -> Results:
    at = 0
    results, high_water = [], []
    for case, program in zip(cases, programs, strict=True):
        graph = program.main.graph
        samples = []
        for _ in case.samples:
            outputs = []
            for tensor in (graph.tensors[i] for i in graph.outputs):
                raw = data[at : at + tensor.nbytes]
                outputs.append(np.frombuffer(raw, tensor.dtype.numpy).reshape(tensor.shape))
                at += tensor.nbytes
            samples.append(outputs)
        results.append(samples)
        high_water.append(int.from_bytes(data[at : at + 4], "little"))
        at += 4
    assert at == len(data), f"{len(data) - at} bytes of output are left over"
    return Results(results, high_water)
