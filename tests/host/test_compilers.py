"""Generated C under other compilers: clang, C++17, valgrind; every flag of the house rules."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.resources import firmware_dir
from edgepack.runner import run
from edgepack.types import Array
from tests.c_batch import WARNINGS, Case, compile_case, run_c
from tests.oracles import run_tflm_sequence
from tests.small_models import small_cnn

DATA = Path(__file__).resolve().parent.parent / "data"
DSP = Isa(frozenset({"dsp"}))
RUN_SECONDS = 120.0

# Designated initializers are C99; C++17 compilers take them as an extension that -pedantic names.
CPP_WARNINGS = tuple(w for w in WARNINGS if w not in ("-pedantic", "-Wstrict-prototypes"))


def _models() -> dict[str, tuple[bytes, Isa]]:
    """Convolution and dense kernels of both instruction sets, loops, a fused LSTM with state."""
    return {
        "cnn": (small_cnn(), Isa()),
        "cnn_dsp": (small_cnn(), DSP),
        "keras_gru": ((DATA / "keras_gru.tflite").read_bytes(), Isa()),
        "keras_gru_sequence": ((DATA / "keras_gru_sequence.tflite").read_bytes(), Isa()),
        "keras_lstm_int8": ((DATA / "keras_lstm_int8.tflite").read_bytes(), Isa()),
    }


def _cases() -> list[Case]:
    rng = np.random.default_rng(2)
    cases = []
    for name, (data, isa) in _models().items():
        main = load_tflite(data).main
        tensors = [main.tensors[i] for i in main.inputs]
        samples: list[list[Array]] = [
            [
                rng.normal(size=t.shape).astype(np.float32)
                if t.dtype.value == "FLOAT32"
                else rng.integers(-128, 128, t.shape).astype(np.int8)
                for t in tensors
            ]
            for _ in range(2)
        ]
        cases.append(Case(name, data, samples, isa))
    return cases


def _need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[list[list[Array]]]:
    """The outputs under gcc at -O1 with sanitizers."""
    return run_c(_cases(), tmp_path_factory.mktemp("reference"))


def _same(got: list[list[list[Array]]], expected: list[list[list[Array]]]) -> None:
    for case, ours, theirs in zip(_cases(), got, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            for x, y in zip(a, b, strict=True):
                if x.dtype == np.float32:  # contraction to fused multiply-add differs
                    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6, err_msg=case.id)
                else:
                    np.testing.assert_array_equal(x, y, err_msg=case.id)


@pytest.mark.parametrize(
    "compiler",
    [("gcc", "-std=c99", "-O3"), ("gcc", "-std=c99", "-Os"), ("clang", "-std=c99", "-O2")],
    ids=" ".join,
)
def test_c99(compiler: tuple[str, ...], reference: list[list[list[Array]]], tmp_path: Path) -> None:
    _need(compiler[0])
    _same(run_c(_cases(), tmp_path, compiler=compiler, sanitize=False), reference)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cpp17(compiler: str, tmp_path: Path) -> None:
    """Header and source both compile as C++, each in a translation unit of its own."""
    _need(compiler)
    for source in _split_sources(tmp_path):
        command = [compiler, "-x", "c++", "-std=c++17", "-O1", *CPP_WARNINGS]
        includes = _includes(tmp_path)
        run(
            [*command, *includes, "-c", str(source), "-o", str(source.with_suffix(".o"))],
            timeout=RUN_SECONDS,
            what=f"compile {source.name} as C++",
        )
    user = tmp_path / "user.cpp"
    user.write_text(
        '#include "ep_cnn.h"\nint8_t *first(ep_cnn &model) { return ep_cnn_input_0(&model); }\n'
    )
    pedantic = [compiler, "-std=c++17", "-pedantic", *CPP_WARNINGS, *_includes(tmp_path)]
    run(
        [*pedantic, "-c", str(user), "-o", str(tmp_path / "user.o")],
        timeout=RUN_SECONDS,
        what="use the header from C++",
    )


def _split_sources(folder: Path) -> list[Path]:
    """Write header and source of every model; returns the sources."""
    written = []
    for case in _cases():
        _, text = compile_case(case, case.id)
        (folder / text.header_name).write_text(text.header)
        (folder / text.source_name).write_text(text.source)
        written.append(folder / text.source_name)
    return written


def _includes(folder: Path) -> list[str]:
    return [f"-I{firmware_dir() / d}" for d in ("runtime", "kernels")] + [f"-I{folder}"]


def test_valgrind(tmp_path: Path, reference: list[list[list[Array]]]) -> None:
    """No use of memory that nothing wrote, which the sanitizers do not see."""
    _need("valgrind")
    _same(run_c(_cases(), tmp_path, sanitize=False), reference)
    script = f'valgrind -q --error-exitcode=9 --leak-check=full "{tmp_path / "cases"}" '
    script += f'-1 < "{tmp_path / "input.bin"}" > "{tmp_path / "again.bin"}"'
    run(["sh", "-c", script], timeout=RUN_SECONDS, what="run under valgrind")


@pytest.mark.needs_oracle
def test_the_reference_is_tflms(reference: list[list[list[Array]]]) -> None:
    for case, outputs in zip(_cases(), reference, strict=True):
        if case.id == "keras_gru_sequence":  # dynamic sizes, which TFLM cannot hold
            continue
        expected = run_tflm_sequence(case.model, case.samples)
        _same_outputs(case.id, outputs, expected)


def _same_outputs(name: str, got: list[list[Array]], expected: list[list[Array]]) -> None:
    for a, b in zip(got, expected, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(
                x.astype(np.float64), y, rtol=1e-5 if x.dtype == np.float32 else 0,
                atol=2e-6 if x.dtype == np.float32 else 0, err_msg=name,
            )  # fmt: skip
