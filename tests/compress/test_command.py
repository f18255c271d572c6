"""`edgepack compress`: steps from the command line or a file, the report, and going on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepack import cli
from edgepack.compress import low_rank, prune_structured
from edgepack.compress.options import FineTune
from edgepack.errors import ConfigError, UsageError
from edgepack.models.isolate import warm_children
from edgepack.pipeline.compress import Asked, checked_steps, compress_model, parse_step, read_steps
from tests.compress import networks


def test_steps_are_read_from_text() -> None:
    tables = [
        parse_step("prune_structured:ratio=0.5,of=macs,finetune.epochs=2,finetune.loss=mse"),
        parse_step('low_rank:energy=0.9,skip=["last", "first"],seed=1'),
    ]
    assert checked_steps(tables, "here") == (
        prune_structured.Config(ratio=0.5, of="macs", finetune=FineTune(epochs=2, loss="mse")),
        low_rank.Config(energy=0.9, skip=("last", "first"), seed=1),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prune", "method = 'prune'"),
        ("prune_structured:ratio=2", "ratio = 2"),
        ("prune_structured:rate=0.5", "rate"),
        ("low_rank", "exactly one of energy"),
    ],
)
def test_a_wrong_step_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_steps([parse_step(text)], "--method")
    assert said in str(caught.value)


def test_a_recipe_may_be_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "edgepack.toml"
    path.write_text('[model]\nsource = "a"\n[[compress]]\nmethod = "low_rank"\nratio = 0.5\n')
    assert read_steps(path) == (low_rank.Config(ratio=0.5),)
    path.write_text("[model]\n")
    with pytest.raises(ConfigError, match="no \\[\\[compress\\]\\] table"):
        read_steps(path)
    with pytest.raises(UsageError, match="has no value"):
        parse_step("low_rank:ratio")


@pytest.mark.slow
@pytest.mark.needs_tf
def test_a_run_goes_on_after_the_last_finished_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = tmp_path / "net.keras", tmp_path / "data.npz"
    networks.lenet_300().save(model)
    generator = np.random.default_rng(0)
    np.savez(data, x=generator.normal(size=(60, 4, 5)).astype(np.float32), y=np.arange(60) % 3)
    monkeypatch.chdir(tmp_path)
    first = "prune_structured:ratio=0.5,finetune.epochs=1"
    messages: list[str] = []

    def note(stage: str, fraction: float | None, message: str) -> None:
        messages.append(message)

    with warm_children(2):
        steps = checked_steps([parse_step(first)], "test")
        one = compress_model(Asked(model, steps, str(data)), note)
        command = ["compress", "net.keras", "--data", "data.npz", "-o", "small.keras"]
        command += ["--report", "report.json"]
        command += ["--method", first, "--method", "low_rank:ratio=0.4,finetune.epochs=1"]
        assert cli.run([*command, "--verbose"]) == 0
    assert not any("earlier run" in message for message in messages)
    shown = capsys.readouterr()
    assert "1 steps taken from an earlier run" in shown.err
    report = json.loads(Path("report.json").read_text())
    assert report["steps"][0] == one.report["steps"][0]  # not a figure differs: it did not run
    before, after = (report["steps"][1][key] for key in ("before", "after"))
    assert before == one.report["steps"][0]["after"]
    assert after["parameters"] < before["parameters"] and after["macs"] < before["macs"]
    assert Path("small.keras").stat().st_size > 0
    assert "the device saves flash" in shown.out


def test_a_step_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compress", "net.keras", "-o", "small.keras"]) == 2
    assert "--method" in capsys.readouterr().err
