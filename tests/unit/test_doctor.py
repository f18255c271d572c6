"""`edgepack doctor`: what is found, and the command for what is not."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from edgepack import cli, doctor
from edgepack.errors import MissingToolError


def _write_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _probe(name: str) -> doctor.Probe:
    return next(probe for probe in doctor.PROBES if probe.name == name)


def test_names_are_unique_and_all_have_a_purpose() -> None:
    names = [probe.name for probe in doctor.PROBES]
    assert len(set(names)) == len(names)
    assert all(probe.purpose for probe in doctor.PROBES)


def test_a_program_is_found_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_program(tmp_path, "qemu-system-arm", "echo an emulator, version 7.2; echo more")
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = doctor.examine((_probe("qemu-system-arm"),))
    assert check.found
    assert check.version == "an emulator, version 7.2"
    assert check.install is None


def test_a_broken_program_is_not_called_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_program(tmp_path, "qemu-system-arm", "exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = doctor.examine((_probe("qemu-system-arm"),))
    assert not check.found
    assert check.problem == "exit code 127"


def test_a_missing_program_comes_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_program(tmp_path, "apt-get", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = doctor.examine((_probe("qemu-system-arm"),))
    assert not check.found
    assert check.install is not None
    assert check.install.endswith("apt-get install -y --no-install-recommends qemu-system-arm")


def test_packages_are_installed_into_this_python() -> None:
    assert doctor.install_command({"pip": "edgepack[tf]"}) == (
        f"{sys.executable} -m pip install 'edgepack[tf]'"
    )


def _hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in modules else real(name)
    )


def test_zig_and_unicorn_stand_in_for_gcc_and_qemu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang", reason="pip install edgepack[zig]")
    pytest.importorskip("unicorn", reason="pip install edgepack[sim]")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [check.name for check in doctor.examine() if check.required and not check.found]
    _hide(monkeypatch, "unicorn")
    missing = [check for check in doctor.examine() if check.required and not check.found]
    assert [check.name for check in missing] == ["qemu-system-arm"]
    spare = next(check for check in doctor.examine() if check.name == "unicorn")
    assert spare.install == f"{sys.executable} -m pip install 'edgepack[sim]'"


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_fails_when_something_required_is_missing(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _hide(monkeypatch, "ziglang")
    assert cli.run(["doctor", *arguments]) == MissingToolError.exit_code
    printed = capsys.readouterr()
    if arguments:
        document = json.loads(printed.out)
        assert document["ok"] is False
        found = {check["name"]: check["found"] for check in document["checks"]}
        assert not found["arm-none-eabi-gcc"]
        assert found["python"]
    else:
        assert "MISSING" in printed.out
        assert "arm-none-eabi-gcc" in printed.err
