"""The ESP-IDF project: its files, its sources with stand-ins of IDF's headers, a fake idf.py."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgepack.cli import run
from edgepack.errors import BuildError, MissingToolError, ProjectError
from edgepack.manifest import Manifest, read_manifest
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target
from edgepack.toolchain import EspIdf, find_compiler
from edgepack.toolchain.flags import WARNINGS
from tests.small_models import small_cnn

TARGETS = ("esp32s3", "esp32c3")
STUBS = Path(__file__).resolve().parents[1] / "host" / "idf_stubs"
RISCV_GCC = "riscv64-unknown-elf-gcc"
FAKE_IDF = """#!{python}
import json, pathlib, shutil, sys
if "--version" in sys.argv:
    print("ESP-IDF v5.3.1")
    sys.exit(0)
assert sys.argv[1:] == ["build"], sys.argv
build = pathlib.Path("build")
build.mkdir(exist_ok=True)
{body}
"""
LEAVE_IMAGE = """
shutil.copy(sys.executable, build / "firmware.elf")
(build / "firmware.bin").write_bytes(b"app")
(build / "flasher_args.json").write_text(json.dumps({"flash_files": {"0x10000": "firmware.bin"}}))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_cnn())
    return path


@pytest.fixture
def no_idf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDF_PATH", raising=False)


def fake_idf(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """An `idf.py` first on PATH."""
    folder.mkdir()
    program = folder / "idf.py"
    program.write_text(FAKE_IDF.format(python=Path(sys.executable).resolve(), body=body), "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("IDF_PATH", str(folder))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.usefixtures("no_idf")
def test_without_esp_idf_the_sources_are_all(name: str, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    manifest = build_project(BuildRequest(model, name), out)
    assert manifest.image is None and manifest.sizes is None
    component = (out / "main" / "CMakeLists.txt").read_text("utf-8")
    listed = re.findall(r'"\.\./([^"]+)"', component)
    assert listed == [*manifest.sources, *manifest.include_dirs]
    assert all((out / entry).exists() for entry in listed)
    assert "firmware/port/esp/port.c" in listed
    for define in (*load_target(name).defines, *manifest.defines):
        assert f"    {define}\n" in component
    settings = (out / "sdkconfig.defaults").read_text("utf-8").splitlines()
    mhz = (load_target(name).clock_hz or 0) // 1_000_000
    assert f'CONFIG_IDF_TARGET="{name}"' in settings
    assert f"CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ_{mhz}=y" in settings
    assert "CONFIG_ESP_CONSOLE_NONE=y" in settings
    for entry in settings:
        assert (
            not entry or entry.startswith("#") or re.fullmatch(r'CONFIG_\w+=(y|n|\d+|".*")', entry)
        )
    project = (out / "CMakeLists.txt").read_text("utf-8")
    assert "include($ENV{IDF_PATH}/tools/cmake/project.cmake)\nproject(firmware C)\n" in project


@pytest.mark.usefixtures("no_idf")
def test_the_same_model_gives_the_same_files(model: Path, tmp_path: Path) -> None:
    texts = []
    for folder in ("a", "longer/b"):
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        build_project(BuildRequest(model, "esp32c3"), tmp_path / folder)
        names = ("CMakeLists.txt", "main/CMakeLists.txt", "sdkconfig.defaults", "manifest.json")
        texts.append([(tmp_path / folder / name).read_bytes() for name in names])
    assert texts[0] == texts[1]
    assert str(tmp_path).encode() not in b"".join(texts[0])


@pytest.mark.usefixtures("no_idf")
def test_the_command_says_plainly_that_nothing_was_compiled(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p"
    assert run(["build", str(model), "--target", "esp32c3", "--out", str(out)]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert (
        "not compiled: this is an ESP-IDF project, and no ESP-IDF is set up in this shell" in said
    )
    assert "export.sh" in said
    assert run(["flash", str(out), "--port", "/dev/null"]) == ProjectError.exit_code
    assert "has no image" in "".join(capsys.readouterr())


@pytest.mark.skipif(shutil.which(RISCV_GCC) is None, reason=f"{RISCV_GCC} is not installed")
@pytest.mark.usefixtures("no_idf")
def test_every_source_compiles_for_the_c3(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    manifest = build_project(BuildRequest(model, "esp32c3"), out)
    for source in manifest.sources:
        result = compile_for_c3(out, manifest, source, load_target("esp32c3").defines)
        assert result.returncode == 0, f"{source}:\n{result.stderr}"


def compile_for_c3(
    project: Path, manifest: Manifest, source: str, defines: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    """Compile one source as IDF would for the C3, with stand-ins for IDF's headers."""
    includes = [f"-I{folder}" for folder in (*manifest.include_dirs, STUBS)]
    flags = [f"-D{define}" for define in (*defines, *manifest.defines)]
    command = [RISCV_GCC, "--specs=picolibc.specs", "-march=rv32imc", "-mabi=ilp32"]
    command += ["-std=gnu17", "-O2", *WARNINGS, *includes, *flags, "-fsyntax-only", source]
    return subprocess.run(command, cwd=project, text=True, capture_output=True, check=False)


@pytest.mark.skipif(shutil.which(RISCV_GCC) is None, reason=f"{RISCV_GCC} is not installed")
@pytest.mark.usefixtures("no_idf")
def test_a_clock_that_sdkconfig_does_not_set_is_refused(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    manifest = build_project(BuildRequest(model, "esp32c3"), out)
    wrong = tuple(d.replace("160000000", "80000000") for d in load_target("esp32c3").defines)
    result = compile_for_c3(out, manifest, "firmware/port/esp/port.c", wrong)
    assert result.returncode != 0
    assert "sdkconfig sets another core clock than the target's record" in result.stderr


def test_with_esp_idf_it_is_compiled(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_idf(tmp_path / "idf", monkeypatch, LEAVE_IMAGE)
    manifest = build_project(BuildRequest(model, "esp32s3"), tmp_path / "p")
    assert manifest.image == "build/firmware.elf"
    assert manifest.files == {"flasher_args": "build/flasher_args.json"}
    assert manifest.toolchain is not None
    assert (manifest.toolchain.name, manifest.toolchain.version) == ("esp-idf", "ESP-IDF v5.3.1")
    assert read_manifest(tmp_path / "p") == manifest


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("sys.exit('ninja: build stopped')", BuildError, "ninja: build stopped"),
        ("pass", ProjectError, "firmware.elf does not exist"),
        (
            LEAVE_IMAGE.replace("0x10000", "x").replace('firmware.bin"}', 'gone.bin"}'),
            ProjectError,
            "names gone.bin",
        ),
        ("shutil.copy(sys.executable, build / 'firmware.elf')", ProjectError, "no usable build/f"),
    ],
    ids=["failed", "no image", "files missing", "no flasher args"],
)
def test_what_goes_wrong_in_esp_idf_is_told(
    body: str,
    error: type[Exception],
    said: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_idf(tmp_path / "idf", monkeypatch, body)
    with pytest.raises(error, match=said):
        build_project(BuildRequest(model, "esp32s3"), tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.usefixtures("no_idf")
def test_a_missing_esp_idf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert not EspIdf().installed(load_target("esp32c3"))
    with pytest.raises(MissingToolError, match=r"idf\.py") as caught:
        find_compiler(load_target("esp32c3"))
    assert "export.sh" in (caught.value.next_step or "")


def test_flasher_args_are_those_that_the_flash_tool_reads() -> None:
    for name in TARGETS:
        (method,) = load_target(name).board.flash
        assert method.tool == "esptool"
        assert method.options == {"chip": name, "flasher_args": "build/flasher_args.json"}
        json.dumps(method.options)
