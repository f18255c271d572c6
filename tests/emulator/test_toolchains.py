"""clang and zig: the same sources compute the same bytes on every architecture."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import FitError, MissingToolError
from edgepack.manifest import read_manifest
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import RunReport, read_run
from edgepack.targets import load_target, load_targets
from edgepack.toolchain import compile_project, find_compiler
from edgepack.toolchain.cores import llvm_target
from tests.emulator.echo_project import write_project
from tests.small_models import small_cnn

DATA = Path(__file__).resolve().parent.parent / "data"
# One for each instruction set that kernels know.
TARGETS = ("mps2-an385-m0plus", "mps2-an385", "mps2-an386", "mps2-an505", "mps3-an547", "virt-rv32")
QUICK = (("zig", "mps2-an386"), ("clang", "mps3-an547"))


def need(toolchain: str, target: str) -> None:
    try:
        find_compiler(load_target(target), toolchain)
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.next_step}")
    emulator = load_target(target).board.emulator
    assert emulator is not None
    if shutil.which(emulator.program) is None:
        pytest.skip(f"{emulator.program} is not installed: make setup")


def run(model: bytes, target: str, toolchain: str, folder: Path, samples: int = 3) -> RunReport:
    path = folder / "model.tflite"
    path.write_bytes(model)
    manifest = build_project(BuildRequest(path, target, toolchain=toolchain), folder / toolchain)
    assert manifest.toolchain is not None and manifest.toolchain.name == toolchain
    report = bench(BenchRequest(folder / toolchain, samples=samples, host=False))
    assert report.toolchain is not None and report.toolchain.name == toolchain
    return report


def equal(report: RunReport) -> None:
    assert report.parity is not None and report.parity.bytes > 0
    assert report.parity.mismatched_bytes == 0


@pytest.mark.needs_oracle
@pytest.mark.parametrize(("toolchain", "target"), QUICK)
def test_computes_the_same_bytes(toolchain: str, target: str, tmp_path: Path) -> None:
    need(toolchain, target)
    equal(run(small_cnn(), target, toolchain, tmp_path))


@pytest.mark.slow
@pytest.mark.needs_oracle
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("toolchain", ["clang", "zig"])
def test_computes_the_same_bytes_everywhere(toolchain: str, target: str, tmp_path: Path) -> None:
    need(toolchain, target)
    equal(run(small_cnn(), target, toolchain, tmp_path))


@pytest.mark.slow
@pytest.mark.needs_oracle
@pytest.mark.parametrize("model", ["keras_lstm", "keras_gru"])
@pytest.mark.parametrize("target", ["mps2-an385", "mps2-an386", "virt-rv32"])
@pytest.mark.parametrize("toolchain", ["clang", "zig"])
def test_float_models_take_the_own_libc(
    toolchain: str, target: str, model: str, tmp_path: Path
) -> None:
    need(toolchain, target)
    report = run((DATA / f"{model}.tflite").read_bytes(), target, toolchain, tmp_path)
    assert report.parity is not None and report.parity.first_mismatch is None


@pytest.mark.slow
@pytest.mark.needs_oracle
@pytest.mark.needs_data
@pytest.mark.parametrize("model", ["kws", "ic", "ad", "sww", "vww"])
@pytest.mark.parametrize("toolchain", ["clang", "zig"])
def test_real_models_are_bit_exact(
    toolchain: str, model: str, real_data: Path, tmp_path: Path
) -> None:
    need(toolchain, "mps2-an386")
    data = (real_data / "mlperf_tiny" / f"{model}_int8.tflite").read_bytes()
    equal(run(data, "mps2-an386", toolchain, tmp_path, samples=2))


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["size", "speed"])
@pytest.mark.parametrize("toolchain", ["clang", "zig"])
def test_every_goal_builds(toolchain: str, optimize: str, tmp_path: Path) -> None:
    need(toolchain, "mps2-an386")
    path = tmp_path / "model.tflite"
    path.write_bytes(small_cnn())
    project = tmp_path / "project"
    request = BuildRequest(
        path, "mps2-an386", toolchain=toolchain, optimize="size" if optimize == "size" else "speed"
    )
    build_project(request, project)
    equal(bench(BenchRequest(project, samples=2, host=False)))


def test_the_command_line_and_the_configuration_choose(tmp_path: Path) -> None:
    need("zig", "mps2-an386")
    (tmp_path / "model.tflite").write_bytes(small_cnn())
    words = ("build", str(tmp_path / "model.tflite"), "-t", "mps2-an386", "--toolchain", "zig")
    assert cli.run([*words, "-o", str(tmp_path / "a")]) == 0
    config = '[model]\nsource = "model.tflite"\n[build]\ntarget = "mps2-an386"\ntoolchain = "zig"\n'
    (tmp_path / "edgepack.toml").write_text(f'{config}out = "."\n[bench]\nsamples = 1\n')
    assert cli.run(["run", str(tmp_path)]) == 0
    for project in ("a", "mps2-an386"):
        manifest = read_manifest(tmp_path / project)
        assert manifest.toolchain is not None and manifest.toolchain.name == "zig"


def test_the_command_line_and_the_configuration_choose_the_emulator(tmp_path: Path) -> None:
    need("gcc", "mps2-an386")
    pytest.importorskip("unicorn", reason="pip install edgepack[sim]")
    (tmp_path / "model.tflite").write_bytes(small_cnn())
    config = tmp_path / "edgepack.toml"
    config.write_text(
        '[model]\nsource = "model.tflite"\n[build]\ntarget = "mps2-an386"\nout = "."\n'
        '[bench]\nsamples = 1\nemulator = "unicorn"\n'
    )

    def played() -> str | None:
        emulator = read_run(tmp_path / "mps2-an386" / "run.json").target.emulator
        return None if emulator is None else emulator.name

    assert cli.run(["run", str(tmp_path)]) == 0
    assert played() == "unicorn"
    assert cli.run(["bench", str(config), "--emulator", "qemu"]) == 0
    assert played() == "qemu"
    assert cli.run(["bench", str(config)]) == 0
    assert played() == "unicorn"


def test_two_compilers_give_two_build_ids(tmp_path: Path) -> None:
    need("zig", "mps2-an386")
    need("gcc", "mps2-an386")
    path = tmp_path / "model.tflite"
    path.write_bytes(small_cnn())
    ids = {
        build_project(BuildRequest(path, "mps2-an386", toolchain=name), tmp_path / name).build_id
        for name in ("gcc", "zig")
    }
    assert len(ids) == 2


def test_an_image_that_does_not_fit_is_explained_by_zig_too(tmp_path: Path) -> None:
    target = load_target("microbit")
    need("zig", target.id)
    source = (
        '#include "ep_port.h"\n__attribute__((section(".bss.ep_arena")))\n'
        "static volatile uint8_t arena[20000];\n"
        "int ep_main(void) { for (;;) { arena[ep_port_getc() & 1023] = arena[7]; } }\n"
    )
    manifest = write_project(tmp_path / "p", target, source)
    with pytest.raises(FitError, match=r"ram: needs .*\(arena 20,000") as caught:
        compile_project(tmp_path / "p", manifest, target, toolchain="zig")
    assert "mps2-an386" in (caught.value.allowed or "")


def test_every_record_can_be_translated_for_llvm() -> None:
    described = {
        target.id: llvm_target(target) for target in load_targets() if "gcc" in target.soc.toolchain
    }
    zig = {name: (llvm.zig, llvm.cpu) for name, llvm in described.items()}
    hard, soft = "thumb-freestanding-eabihf", "thumb-freestanding-eabi"
    assert zig["microbit"] == (soft, "cortex_m0")
    assert zig["netduinoplus2"] == (hard, "cortex_m4+vfp4d16sp")
    assert zig["mps2-an500"] == (hard, "cortex_m7+fp_armv8d16")
    assert zig["mps2-an505"] == (hard, "cortex_m33+dsp+fp_armv8d16sp")
    assert zig["mps3-an547"] == (hard, "cortex_m55+mve_fp")
    assert zig["virt-rv32"] == ("riscv32-freestanding-none", "generic_rv32+m+a+c+zicsr")


# ---- no root rights ----

_INSTALL_SECONDS = 280.0


def _run(folder: Path, *argv: str | Path, seconds: float = 200.0) -> str:
    """Run a program that finds nothing on PATH."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # how this machine reaches its package index
        if name.startswith(("PIP_", "SSL_")) or name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=folder,
        env={**kept, "PATH": str(folder / "nothing"), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.needs_network
@pytest.mark.timeout(900)
def test_pip_alone_is_enough(
    checkout: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """From an empty environment to the first result: no compiler, no emulator, no root rights."""
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    began = time.monotonic()
    _run(
        tmp_path,
        *(programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        f"{checkout}[zig,sim]",
        seconds=_INSTALL_SECONDS,
    )
    installed = time.monotonic()
    (tmp_path / "small.tflite").write_bytes(small_cnn())
    edgepack = programs / "edgepack"
    _run(tmp_path, edgepack, "build", "small.tflite", "-t", "mps2-an386", "-o", "small")
    _run(tmp_path, edgepack, "bench", "small")
    done = time.monotonic()
    manifest = read_manifest(tmp_path / "small")
    assert manifest.toolchain is not None and manifest.toolchain.name == "zig"
    report = RunReport.model_validate_json((tmp_path / "small" / "run.json").read_bytes())
    assert report.target.emulator is not None and report.target.emulator.name == "unicorn"
    assert report.device.instructions is not None and report.status == "complete"
    if importlib.util.find_spec("tflite_micro") is not None:
        equal(report)
    _run(tmp_path, edgepack, "doctor")
    record_property(
        "note",
        f"without root rights: pip install {installed - began:.0f} s, then "
        f"{done - installed:.0f} s to the first result ({sys.platform})",
    )
