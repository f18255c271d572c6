"""Loopback phones and an adb server of their own for each test; all of it is gone afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.link.adb_program import adb_path
from edgepack.pipeline.phone import build_phone
from edgepack.toolchain.phone import phone_abi
from tests.phone.lab import SHORT, Command, Lab, running_lab
from tests.small_models import small_cnn

TOOLS = ("qemu-aarch64-static", "aarch64-linux-gnu-gcc")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [] if adb_path() is not None else ["adb"]
    for item in items:
        if missing and "adb" in item.nodeid.rpartition("/")[2]:
            item.add_marker(pytest.mark.skip(reason=f"{missing[0]} is not installed: make setup"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """EDGEPACK_TEST_ADB names another adb than the one that edgepack finds."""
    with running_lab(tmp_path, os.environ.get("EDGEPACK_TEST_ADB")) as made:
        yield made


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two layers, built for arm64 phones."""
    folder = tmp_path_factory.mktemp("phone-project")
    model = folder / "small.tflite"
    model.write_bytes(small_cnn())
    project = folder / "project"
    project.mkdir()
    build_phone(model, project, phone_abi("arm64-v8a"), "small")
    return project


@pytest.fixture
def command(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    for name, value in lab.server.env.items():
        if name != "HOME":
            monkeypatch.setenv(name, value)

    def run(*words: object, expect: int = 0) -> str:
        argv = ["bench", *map(str, words), *SHORT, "--work", str(tmp_path / "work")]
        code = cli.run(argv)
        said = capsys.readouterr()
        assert code == expect, (code, said.out, said.err)
        return said.out + said.err

    return run
