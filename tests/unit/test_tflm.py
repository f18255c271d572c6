"""Runtime tflm: what is generated, which library is taken, and what is said when there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.bench.project import BenchRequest, bench
from edgepack.emit.tflm_arena import tflm_arena_bytes
from edgepack.emit.tflm_files import DEFINES, TflmBuild, header_closure
from edgepack.emit.tflm_ops import TFLM_OPS, operators, resolver_method
from edgepack.errors import (
    BuildError,
    DeviceError,
    MissingToolError,
    ProjectError,
    UnsupportedError,
    UsageError,
)
from edgepack.frontends.tflite import load_tflite
from edgepack.manifest import read_manifest
from edgepack.ops.table import OPS
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target
from edgepack.toolchain import find_tflm, tflm_path
from tests.fake_tflm import ELEMENTS, FOREIGN, M4, copying_model, write_headers, write_library
from tests.small_models import small_cnn
from tests.tflite_builder import ModelBuilder, spec

# The methods of MicroMutableOpResolver that register builtin ops. Source:
# tensorflow/lite/micro/micro_mutable_op_resolver.h of the tflite-micro repository, 90b983c2b3f1.
METHODS = """
AddAbs AddAdd AddAddN AddArgMax AddArgMin AddAssignVariable AddAveragePool2D AddBatchMatMul
AddBatchToSpaceNd AddBroadcastArgs AddBroadcastTo AddCallOnce AddCast AddCeil AddConcatenation
AddConv2D AddCos AddCumSum AddDepthToSpace AddDepthwiseConv2D AddDequantize AddDiv
AddDynamicUpdateSlice AddElu AddEmbeddingLookup AddEqual AddExp AddExpandDims AddFill AddFloor
AddFloorDiv AddFloorMod AddFullyConnected AddGather AddGatherNd AddGreater AddGreaterEqual
AddHardSwish AddIf AddL2Normalization AddL2Pool2D AddLeakyRelu AddLess AddLessEqual AddLog
AddLogSoftmax AddLogicalAnd AddLogicalNot AddLogicalOr AddLogistic AddMaxPool2D AddMaximum AddMean
AddMinimum AddMirrorPad AddMul AddNeg AddNotEqual AddPack AddPad AddPadV2 AddPrelu AddQuantize
AddReadVariable AddReduceAll AddReduceMax AddReduceMin AddRelu AddRelu6 AddReshape AddResizeBilinear
AddResizeNearestNeighbor AddReverseV2 AddRound AddRsqrt AddSelectV2 AddShape AddSin AddSlice
AddSoftmax AddSpaceToBatchNd AddSpaceToDepth AddSplit AddSplitV AddSqrt AddSquare
AddSquaredDifference AddSqueeze AddStridedSlice AddSub AddSum AddSvdf AddTanh AddTranspose
AddTransposeConv AddUnidirectionalSequenceLSTM AddUnpack AddVarHandle AddWhile AddZerosLike
"""
# Ops of edgepack's own table that TFLM has no kernel for.
NOT_IN_TFLM = {"GELU", "POW", "RELU_N1_TO_1", "SELECT", "TILE"}

needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@pytest.fixture(autouse=True)
def no_tflm(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests bring their own."""
    monkeypatch.delenv("EDGEPACK_TFLM", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "copy.tflite"
    path.write_bytes(copying_model())
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A fake TFLM with a library for this computer."""
    root = tmp_path / "tflm"
    write_headers(root)
    write_library(root, "linux")
    return root


def _needs_arm_cxx() -> None:
    compiler = shutil.which("arm-none-eabi-g++")
    if compiler is None:
        pytest.skip("arm-none-eabi-g++ is not installed")
    probe = [compiler, *M4, "-x", "c++", "-E", "-"]
    done = subprocess.run(probe, input=b"#include <new>\n", capture_output=True, timeout=60)
    if done.returncode != 0:
        pytest.skip("libstdc++-arm-none-eabi-newlib is not installed")


# What is generated


def test_the_methods_are_those_of_tflm() -> None:
    assert sorted(resolver_method(op) for op in TFLM_OPS) == sorted(METHODS.split())


@pytest.mark.parametrize("op", sorted(OPS))
def test_every_op_is_registered_or_refused(op: str) -> None:
    if op in NOT_IN_TFLM:
        with pytest.raises(UnsupportedError, match=f"no kernel for {op}"):
            resolver_method(op)
    else:
        assert resolver_method(op) in METHODS.split()


def test_the_ops_are_those_of_the_file() -> None:
    assert operators(small_cnn()) == ("CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX")


def test_the_project_holds_array_and_glue(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_cnn())
    request = BuildRequest(path, "netduinoplus2", "tflm", tflm_arena=4096)
    manifest = build_project(request, tmp_path / "project")
    assert manifest == read_manifest(tmp_path / "project")
    assert (manifest.runtime, manifest.image, manifest.tflm) == ("tflm", None, None)
    assert manifest.arena_bytes == 4096
    assert set(DEFINES) <= set(manifest.defines)
    assert {layer.kernel for layer in manifest.model.layers} == {"tflm"}
    glue = (tmp_path / "project" / "bench_model.cc").read_text(encoding="utf-8")
    for op in ("CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"):
        assert glue.count(f"{resolver_method(op)}()") == 1
    assert "MicroMutableOpResolver<4>" in glue and "ARENA_BYTES 4096u" in glue
    assert "ResourceVariables" not in glue
    array = (tmp_path / "project" / "model" / "small_tflite.c").read_text(encoding="utf-8")
    body = array[array.index("= {") : array.rindex("};")]
    found = bytes(int(word, 16) for word in body.replace("= {", "").split(",") if word.strip())
    assert found == path.read_bytes()
    # the replacement of the C library's parts is the boards' alone
    assert "firmware/tflm/ep_tflm_board.cc" in manifest.sources
    host = build_project(BuildRequest(path, "host", "tflm"), tmp_path / "host")
    assert "firmware/tflm/ep_tflm_board.cc" not in host.sources


def test_resource_variables_get_their_place(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), "INT8", 0.5, 0)
    handle = m.resource("state")
    m.op("ASSIGN_VARIABLE", [handle, x], [])
    m.output(*m.op("READ_VARIABLE", [handle], [spec((1, 4), "INT8", 0.5, 0)]))
    path = tmp_path / "state.tflite"
    path.write_bytes(m.build())
    build_project(BuildRequest(path, "host", "tflm"), tmp_path / "project")
    glue = (tmp_path / "project" / "bench_model.cc").read_text(encoding="utf-8")
    assert "MicroResourceVariables::Create(allocator, 1)" in glue


_FITS = """
import sys
from tflite_micro.python.tflite_micro import runtime
data = open(sys.argv[1], "rb").read()
interpreter = runtime.Interpreter.from_bytes(data, arena_size=int(sys.argv[2]))
"""


def _fits(path: Path, arena: int) -> bool:
    """Whether TFLM on this computer accepts a model with an arena of that size."""
    command = [sys.executable, "-c", _FITS, str(path), str(arena)]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


@pytest.mark.needs_oracle
def test_the_estimated_arena_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_cnn())
    estimate = tflm_arena_bytes(load_tflite(path))
    assert estimate % 16 == 0
    assert _fits(path, estimate)
    assert not _fits(path, estimate // 8)


@pytest.mark.needs_oracle
@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad", "sww"])
def test_the_estimated_arena_is_enough_for_mlperf_tiny(real_data: Path, name: str) -> None:
    path = real_data / "mlperf_tiny" / f"{name}_int8.tflite"
    estimate = tflm_arena_bytes(load_tflite(path))
    assert _fits(path, estimate)
    assert not _fits(path, estimate // 3), "the estimate wastes two thirds"


# Which library is taken


@needs_gcc
def test_a_project_runs_with_the_library(model: Path, tree: Path, tmp_path: Path) -> None:
    request = BuildRequest(model, "host", "tflm", tflm=tree)
    manifest = build_project(request, tmp_path / "project")
    assert manifest.image is not None and manifest.tflm is not None
    assert manifest.tflm.kernels == "reference"
    assert manifest.sizes is not None
    assert manifest.sizes.ram_arena == manifest.arena_bytes
    assert manifest.sizes.flash_weights >= model.stat().st_size
    report = bench(BenchRequest(tmp_path / "project", samples=5, oracle=False, host=False))
    assert (report.runtime, report.status) == ("tflm", "complete")
    assert report.device.arena_peak_bytes == 2 * ELEMENTS  # what the stand-in says
    # everything stands on paths inside the project
    assert str(tree) not in (tmp_path / "project" / "manifest.json").read_text(encoding="utf-8")


@needs_gcc
@pytest.mark.emulator
@pytest.mark.needs_oracle
def test_a_board_runs_with_the_library(model: Path, tree: Path, tmp_path: Path) -> None:
    _needs_arm_cxx()
    write_library(tree, "cortex_m_generic_cortex-m4+fp", "arm-none-eabi-", M4)
    request = BuildRequest(model, "netduinoplus2", "tflm", tflm=tree)
    build_project(request, tmp_path / "project")
    report = bench(BenchRequest(tmp_path / "project", samples=5, host=False))
    assert report.runtime == "tflm"
    assert report.parity is not None and report.parity.mismatched_bytes == 0
    assert report.device.instructions is not None and report.device.instructions.median > 0


@needs_gcc
def test_an_arena_that_is_too_small_says_so(model: Path, tree: Path, tmp_path: Path) -> None:
    model.write_bytes(copying_model())
    request = BuildRequest(model, "host", "tflm", tflm=tree, tflm_arena=32)
    build_project(request, tmp_path / "project")
    with pytest.raises(DeviceError, match="arena is smaller") as caught:
        bench(BenchRequest(tmp_path / "project", samples=1, oracle=False, host=False))
    assert "--tflm-arena" in str(caught.value.next_step)


@needs_gcc
def test_folder_library_and_variable_lead_to_the_same(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = load_target("host")
    (library,) = tree.glob("gen/*/lib/*.a")
    found = find_tflm(tree, host)
    assert found.library == library
    assert found == find_tflm(library, host)
    assert tflm_path(None) is None
    monkeypatch.setenv("EDGEPACK_TFLM", str(tree))
    assert tflm_path(None) == tree
    assert tflm_path(library) == library


@needs_gcc
def test_a_library_for_something_else_is_refused(tree: Path) -> None:
    with pytest.raises(MissingToolError, match="is for netduinoplus2") as caught:
        find_tflm(tree, load_target("netduinoplus2"))
    assert "it is for EM_X86_64" in caught.value.message or "EM_AARCH64" in caught.value.message


def test_the_float_abi_and_the_instructions_must_fit(tree: Path) -> None:
    _needs_arm_cxx()
    soft = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
    write_library(tree, "soft", "arm-none-eabi-", soft)
    with pytest.raises(MissingToolError, match="passes floats the soft way"):
        find_tflm(tree, load_target("netduinoplus2"))
    with pytest.raises(MissingToolError, match="are not those of armv6-m"):
        find_tflm(tree, load_target("microbit"))
    newer = write_library(tree, "hard", "arm-none-eabi-", M4)
    assert find_tflm(tree, load_target("netduinoplus2")).library == newer


@needs_gcc
def test_two_that_fit_are_not_guessed_between(tree: Path) -> None:
    second = write_library(tree, "second")
    with pytest.raises(UsageError, match="2 libraries") as caught:
        find_tflm(tree, load_target("host"))
    assert str(second) in str(caught.value.allowed)
    assert find_tflm(second, load_target("host")).library == second


@needs_gcc
def test_a_library_with_other_structures_is_refused(tmp_path: Path) -> None:
    write_headers(tmp_path)
    write_library(tmp_path, "linux", extra=FOREIGN)
    with pytest.raises(MissingToolError, match="no_tf_lite_static_memory"):
        find_tflm(tmp_path, load_target("host"))


@needs_gcc
def test_missing_headers_are_named(tree: Path, tmp_path: Path) -> None:
    host = load_target("host")
    shutil.rmtree(tree / "tensorflow" / "lite" / "micro" / "tools")
    with pytest.raises(MissingToolError, match=r"flatbuffers/flatbuffers\.h"):
        find_tflm(tree, host)
    shutil.rmtree(tree / "tensorflow")
    with pytest.raises(MissingToolError, match=r"micro_interpreter\.h"):
        find_tflm(tree, host)


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    host = load_target("host")
    with pytest.raises(UsageError, match="does not exist"):
        find_tflm(tmp_path / "absent", host)
    with pytest.raises(MissingToolError, match=r"holds no libtensorflow-microlite\.a"):
        find_tflm(tmp_path, host)
    library = tmp_path / "libtensorflow-microlite.a"
    for content in (
        b"",
        b"hello",
        b"!<arch>\n",
        b"!<arch>\n" + b"x" * 60,
        b"!<arch>\n" + b"9" * 99,
    ):
        library.write_bytes(content)
        with pytest.raises(BuildError, match=r"libtensorflow-microlite\.a"):
            find_tflm(tmp_path, host)


def test_headers_are_followed_once_and_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "secret.h").write_text("")
    root = tmp_path / "a"
    (root / "one.h").write_text('#include "./one.h"\n# include <b/two.h>\n#include <vector>\n')
    (root / "b" / "two.h").write_text('#include "../one.h"\n#include "three.h"\n')
    (root / "b" / "three.h").write_text('#include "../../secret.h"\n#include "absent.h"\n')
    build = TflmBuild(Path("x.a"), (root,), "reference")
    assert set(header_closure(build, '#include "one.h"')) == {"one.h", "b/two.h", "b/three.h"}


# What is said when there is none


def test_without_a_library_there_are_sources_and_a_next_step(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "project"
    command = ["build", str(model), "--target", "netduinoplus2", "--out", str(out)]
    assert cli.run([*command, "--runtime", "tflm"]) == 0
    assert "--tflm" in capsys.readouterr().out
    assert cli.run([*command, "--runtime", "tflm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["image"] is None
    for name in ("bench", "flash"):
        assert cli.run([name, str(out)]) == ProjectError.exit_code
        printed = capsys.readouterr().err
        assert "without a TensorFlow Lite Micro" in printed
        assert "--runtime tflm --tflm FOLDER" in printed


def test_a_run_needs_a_library(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'[model]\nsource = "{model.name}"\n[build]\ntarget = "host"\nruntime = "tflm"\n'
    (tmp_path / "edgepack.toml").write_text(text, encoding="utf-8")
    assert cli.run(["run", str(tmp_path)]) == MissingToolError.exit_code
    assert "EDGEPACK_TFLM" in capsys.readouterr().err


def test_options_of_the_other_runtime_are_refused(model: Path, tmp_path: Path) -> None:
    command = ["build", str(model), "--target", "host", "--out", str(tmp_path / "project")]
    assert cli.run([*command, "--tflm", str(tmp_path)]) == UsageError.exit_code
    assert cli.run([*command, "--tflm-arena", "4096"]) == UsageError.exit_code
    assert cli.run([*command, "--runtime", "tflm", "--explain"]) == UsageError.exit_code
    assert not (tmp_path / "project").exists()


@needs_gcc
def test_a_missing_cxx_library_is_named(
    model: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GCC for Arm is installed without the headers of its C++ library by default."""
    _needs_arm_cxx()
    write_library(tree, "cortex_m_generic_cortex-m4+fp", "arm-none-eabi-", M4)
    tools = tmp_path / "tools"
    tools.mkdir()
    gcc = shutil.which("arm-none-eabi-gcc")
    (tools / "arm-none-eabi-gcc").symlink_to(str(gcc))
    request = BuildRequest(model, "netduinoplus2", "tflm", tflm=tree)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(MissingToolError, match="no C\\+\\+ compiler") as caught:
        build_project(request, tmp_path / "project")
    assert "libstdc++-arm-none-eabi-newlib" in str(caught.value.next_step)
    (tools / "arm-none-eabi-g++").write_text("#!/bin/sh\nexit 1\n")
    (tools / "arm-none-eabi-g++").chmod(0o755)
    with pytest.raises(MissingToolError, match="no C\\+\\+ library") as caught:
        build_project(request, tmp_path / "project")
    assert "libstdc++-arm-none-eabi-newlib" in str(caught.value.next_step)
    assert not (tmp_path / "project").exists()
