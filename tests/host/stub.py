"""Builds and starts the bench firmware with a stub model as a process, under sanitizers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepack import runner
from edgepack.resources import firmware_dir

HERE = Path(__file__).resolve().parent
INPUTS, OUTPUTS, ARENA = (1500, 7), (2500, 12), 4096
BUILD_ID = "0123456789abcdef"
FAILS = b"\xee\xee"  # an input that begins so makes the inference fail with status 4
HANGS = b"\xdd\xdd"  # or never end

_WARNINGS = [  # those of the project
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Werror",
    "-Wconversion",
    "-Wdouble-promotion",
]
_SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]


def compute(data: bytes) -> list[list[bytes]]:
    """What bench_stub/stub_model.c computes: the outputs of its two layers."""
    state, middle = 0, bytearray()
    for byte in data:
        state = (state * 31 + byte) & 0xFFFFFFFF
        middle.append((state >> 7) & 255)
    first = bytes((middle[i % 1507] + i) & 255 for i in range(2500))
    second = bytes(middle[i] ^ middle[1500 + i % 7] for i in range(12))
    return [[bytes(middle)], [first, second]]


def build(directory: Path) -> Path:
    """Compile the firmware for the host; returns the program."""
    firmware = firmware_dir()
    program = directory / "stub"
    objects = []
    sources = [*sorted((firmware / "bench").glob("*.c")), HERE / "bench_stub" / "stub_model.c"]
    includes = [f"-I{firmware / name}" for name in ("runtime", "port", "bench")]
    for source in sources:
        objects.append(directory / f"{source.stem}.o")
        command = ["gcc", *_WARNINGS, *_SANITIZE, *includes, "-DSTUB_HANG=1", "-c", str(source)]
        runner.run([*command, "-o", str(objects[-1])], timeout=60)
    port = [str(firmware / "port" / "host" / "port.c"), "-D_GNU_SOURCE", "-std=c99"]
    wraps = [f"-Wl,--wrap=ep_port_{name}" for name in ("getc", "max_baud", "set_baud")]
    link = ["gcc", *_SANITIZE, *wraps, *includes, *port, *map(str, objects), "-lpthread"]
    runner.run([*link, "-o", str(program)], timeout=60)
    return program


def anomalies(directory: Path) -> list[list[float]]:
    """What bench_stub/anomaly_main.c prints: each sample as int8 values, then its score."""
    firmware = firmware_dir()
    program = directory / "anomaly"
    sources = [HERE / "bench_stub" / "anomaly_main.c", firmware / "bench" / "ep_anomaly.c"]
    includes = [f"-I{firmware / name}" for name in ("runtime", "bench")]
    command = ["gcc", *_WARNINGS, *_SANITIZE, *includes, *map(str, sources), "-o", str(program)]
    runner.run(command, timeout=60)
    lines = runner.run([str(program)], timeout=20).stdout.splitlines()
    return [[float(word) for word in line.split()] for line in lines]


@contextmanager
def running(program: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start it; yields the URL of its port and the process. It outlives its peers."""
    with runner.background([str(program), "--lifeline"], stdin=True) as child:
        assert child.stdout is not None
        words = child.stdout.readline().split()
        assert words[0] == b"port"
        try:
            yield f"socket://127.0.0.1:{int(words[1])}", child
        finally:
            runner.stop(child)
            assert child.stderr is not None
            complaints = child.stderr.read().decode()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
            assert "runtime error" not in complaints, complaints
            assert "AddressSanitizer" not in complaints, complaints
