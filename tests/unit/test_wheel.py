"""The wheel alone is enough: installed in an empty environment, it builds a project anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.small_models import small_cnn

_INSTALL_SECONDS = 280.0


def _run(*argv: str | Path, cwd: Path, seconds: float = 120.0) -> str:
    """Run a program as if there were no checkout: nothing inherited points at one."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    environment = {
        name: value
        for name, value in os.environ.items()
        # how this machine reaches its package index
        if name in kept or name.startswith(("PIP_", "SSL_")) or name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout by the build backend itself (nothing is downloaded)."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=checkout)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_all_data(wheel: Path, checkout: Path) -> None:
    wanted = {
        f"edgepack/_data/{path.relative_to(checkout).as_posix()}"
        for folder in ("targets", "templates", "firmware")
        for path in (checkout / folder).rglob("*")
        if path.is_file() and path.suffix != ".o"
    }
    assert len(wanted) > 20
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]


def test_the_licence_and_the_version_are_in_it(wheel: Path) -> None:
    from edgepack import __version__

    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    text = archive.read(metadata).decode()
    assert f"Version: {__version__}\n" in text
    assert "License-Expression: Apache-2.0\n" in text
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


@pytest.mark.needs_network
@pytest.mark.timeout(400)
def test_it_builds_and_runs_a_project_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-compile", wheel)
    _run(*pip, cwd=tmp_path, seconds=_INSTALL_SECONDS)
    (tmp_path / "small.tflite").write_bytes(small_cnn())
    edgepack = environment / "bin" / "edgepack"
    where = _run(python, "-c", "import edgepack; print(edgepack.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
    assert json.loads(_run(edgepack, "targets", "--json", cwd=tmp_path))
    _run(edgepack, "build", "small.tflite", "--target", "host", "--out", "project", cwd=tmp_path)
    manifest = json.loads((tmp_path / "project" / "manifest.json").read_text())
    assert (tmp_path / "project" / manifest["image"]).is_file()
    # nothing heavy comes with the core
    installed = _run(python, "-m", "pip", "list", "--format=json", cwd=tmp_path)
    names = {package["name"].lower() for package in json.loads(installed)}
    assert not {"tensorflow", "keras", "torch", "onnx", "scipy", "matplotlib"} & names
