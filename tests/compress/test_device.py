"""`edgepack compress --target`: what the device sees before and after each step."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepack import cli
from edgepack.compress.apply import Compressed
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.load import load_model
from edgepack.pipeline import compress_device
from edgepack.pipeline.compress_device import COSTS, Build, add_device
from edgepack.pipeline.measure import measure
from tests.compress import networks

# `quantize` calibrates on all samples, `compress` on the training split: constants differ, and with
# them a branch or two of a program this small
CALIBRATED_APART = 0.02


def test_every_network_is_built_once_and_costs_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = np.zeros((4, 2), np.float32), np.arange(4)
    write_dataset(tmp_path / "d.npz", Dataset(Samples((x,), y), Samples((x[:2],), y[:2])))
    figures = {"start": (1000, 100, 5000.0), "a": (500, 125, 4000.0), "b": (600, 125, 2000.0)}
    asked: list[str] = []

    def built(model: Path, data: Path, build: Build, place: Path, progress: Any) -> Any:
        asked.append(model.name)
        costs = dict(zip(COSTS, figures[model.name], strict=True))
        outcome = SimpleNamespace(report={"evaluation": {"quantized": {"value": 0.5}}})
        return outcome, SimpleNamespace(**costs, mismatched_bytes=0)

    monkeypatch.setattr(compress_device, "built", built)
    steps: list[dict[str, Any]] = [
        {"method": name, "before": {}, "after": {}} for name in ("one", "two")
    ]
    done = Compressed(None, Path(), {"steps": steps}, (Path("a"), Path("b")))  # type: ignore[arg-type]
    add_device(done, Path("start"), tmp_path / "d.npz", Build("netduinoplus2"), tmp_path)
    assert asked == ["start", "a", "b"]
    first, second = done.report["steps"]
    assert first["after"]["device"] == second["before"]["device"]
    assert first["device_saving"] == (
        "flash 1,000 -> 500 (-50.0 %), ram 100 -> 125 (+25.0 %), "
        "instructions 5,000 -> 4,000 (-20.0 %), as int8 on netduinoplus2"
    )
    assert second["device_saving"].startswith("flash 500 -> 600 (+20.0 %)")


@pytest.mark.slow
@pytest.mark.needs_tf
@pytest.mark.needs_oracle
@pytest.mark.emulator
@pytest.mark.timeout(900)
def test_the_figures_are_those_of_the_networks_that_were_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    networks.lenet_300().save("net.keras")
    x = np.random.default_rng(0).normal(size=(300, 4, 5)).astype(np.float32)
    np.savez("data.npz", x=x, y=np.arange(300) % 3)
    command = ["compress", "net.keras", "--data", "data.npz", "-o", "small.keras"]
    command += ["-t", "netduinoplus2", "--method", "prune_structured:ratio=0.5,finetune.epochs=1"]
    command += ["--method", "low_rank:ratio=0.4,finetune.epochs=1"]
    assert cli.run([*command, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    stages = [steps[0]["before"], *(step["after"] for step in steps)]
    assert [stage["device"]["test"]["n"] for stage in stages] == [60, 60, 60]
    assert not any(stage["device"]["mismatched_bytes"] for stage in stages)
    spent = [stage["device"]["instructions"] for stage in stages]
    assert spent[0] > spent[1] > spent[2]
    assert cli.run([*command]) == 0
    assert f"{spent[2]:,.0f}" in capsys.readouterr().out
    # built once more, from the file that was written
    assert load_model(Path("small.keras")).parameters == stages[2]["parameters"]
    quantize = ["quantize", "small.keras", "--data", "data.npz", "-o", "model.tflite"]
    assert cli.run(quantize) == 0
    again = measure(Path("model.tflite"), "netduinoplus2", tmp_path / "again", full_image=False)
    assert again.instructions == pytest.approx(spent[2], rel=CALIBRATED_APART)
    assert again.flash == pytest.approx(stages[2]["device"]["flash"], rel=CALIBRATED_APART)
