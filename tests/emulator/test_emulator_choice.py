"""Which emulator plays a board, and what is said where none can."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import MissingToolError, UnsupportedError, UsageError
from edgepack.flash import choose_emulator
from edgepack.flash.unicorn_board import runnable, why_not
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target, load_targets
from tests.emulator.test_unicorn_board import has_compiler
from tests.small_models import small_cnn

pytest.importorskip("unicorn", reason="pip install edgepack[sim]")


def test_says_what_it_can_play() -> None:
    assert {"microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505"} <= set(runnable())
    assert {"netduinoplus2", "mps2-an385-m0plus"} <= set(runnable())
    reasons = {target.id: why_not(target) for target in load_targets()}
    assert "no cortex-m55" in (reasons["mps3-an547"] or "")
    assert "not an emulated board" in (reasons["host"] or "")


def test_qemu_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = load_target("mps2-an386")
    if shutil.which("qemu-system-arm") is not None:
        assert choose_emulator(target).name == "qemu"
    assert choose_emulator(target, "unicorn").name == "unicorn"
    monkeypatch.setenv("PATH", "")
    assert choose_emulator(target).name == "unicorn"
    with pytest.raises(MissingToolError) as caught:
        choose_emulator(target, "qemu")
    assert caught.value.next_step == "sudo apt-get install qemu-system-arm"


def test_what_unicorn_cannot_play_needs_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    target = load_target("mps3-an547")
    with pytest.raises(UnsupportedError, match="unicorn has no cortex-m55") as refused:
        choose_emulator(target, "unicorn")
    assert "mps2-an505" in (refused.value.allowed or "")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError) as caught:
        choose_emulator(target)
    assert caught.value.next_step == "sudo apt-get install qemu-system-arm"


def test_both_commands_are_named_when_neither_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("edgepack.flash.emulator.unicorn_version", lambda: None)
    with pytest.raises(MissingToolError) as caught:
        choose_emulator(load_target("mps2-an386"))
    step = caught.value.next_step or ""
    assert "apt-get install qemu-system-arm" in step and "edgepack[sim]" in step
    with pytest.raises(MissingToolError, match="unicorn is not installed"):
        choose_emulator(load_target("mps2-an386"), "unicorn")


def test_cycles_need_qemu(tmp_path: Path) -> None:
    if not has_compiler("mps2-an386"):
        pytest.skip("no compiler: pip install edgepack[zig]")
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    build_project(BuildRequest(model, "mps2-an386"), tmp_path / "project")
    with pytest.raises(UsageError, match="plugin of QEMU, and unicorn plays mps2-an386"):
        bench(BenchRequest(tmp_path / "project", cycles=True, emulator="unicorn"))
