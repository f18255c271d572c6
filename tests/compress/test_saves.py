"""A training that was stopped goes on, and ends as if it had not been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.compress import cluster, prune_magnitude
from edgepack.compress.context import Context
from edgepack.compress.options import Augment, FineTune, Teacher
from edgepack.compress.saves import saving_under
from edgepack.compress.train import Config, run
from edgepack.models.dataset import Dataset, Samples
from edgepack.types import Array
from tests.compress import networks

pytestmark = pytest.mark.needs_tf


class Stopped(Exception):
    """Stands for a lost machine."""


def samples(count: int, *shape: int) -> Samples:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(count, *shape)).astype(np.float32)
    return Samples((x,), generator.integers(0, 3, count))


def trained(config: Any, method: Any, folder: Path | None, stop_after: int | None) -> list[Array]:
    """The weights after a step on 40 samples, 4 optimizer steps in an epoch."""
    from edgepack.models import keras_child

    keras_child.set_seed(0)
    told: list[str] = []

    def progress(stage: str, fraction: float | None, message: str) -> None:
        told.append(message)
        if stop_after is not None and len(told) > stop_after:
            raise Stopped

    data = Dataset(samples(40, 4, 5), samples(4, 4, 5))
    model = networks.lenet_300()
    with saving_under(folder):
        outcome = method(model, config, Context(data, progress))
    return [np.asarray(weight) for weight in outcome.model.weights]


CASES = {
    "weights": (
        Config(finetune=FineTune(epochs=4, batch_size=10, augment=Augment(noise=0.1))),
        run,
    ),
    "masks": (
        prune_magnitude.Config(
            sparsity=0.8, every=1, end=0.9, finetune=FineTune(epochs=4, batch_size=10)
        ),
        prune_magnitude.run,
    ),
    "codebooks": (
        cluster.Config(bits=2, finetune=FineTune(epochs=4, batch_size=10)),
        cluster.run,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_step_ends_as_if_undisturbed(case: str, tmp_path: Path) -> None:
    config, method = CASES[case]
    wanted = trained(config, method, None, None)
    # the progress speaks after each of the 16 steps: the third epoch is cut short
    with pytest.raises(Stopped):
        trained(config, method, tmp_path / "step", 10)
    kept = list(tmp_path.glob("step.training-*.npz"))
    assert len(kept) == 1
    with np.load(kept[0]) as archive:
        assert 1 <= int(archive["epochs"]) <= 2
    given = trained(config, method, tmp_path / "step", None)
    for one, other in zip(given, wanted, strict=True):
        assert one.tobytes() == other.tobytes()
    assert not list(tmp_path.iterdir())


def test_a_broken_file_is_begun_anew(tmp_path: Path) -> None:
    config, method = CASES["weights"]
    (tmp_path / "step.training-1.npz").write_bytes(b"PK\x03\x04 cut short")
    given = trained(config, method, tmp_path / "step", None)
    for one, other in zip(given, trained(config, method, None, None), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a minute alone
def test_a_killed_command_goes_on_inside_a_step(tmp_path: Path) -> None:
    """SIGKILL in the third of six epochs; then the same command again."""
    from edgepack.models import keras_child

    model = networks.convolutions()
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x": generator.normal(size=(3000, 8, 8, 2)).astype(np.float32),
        "y": generator.integers(0, 4, 3000),
    }
    taught = Teacher(alpha=0.5, temperature=2.0)
    step = "finetune:finetune.epochs=6,finetune.teacher.alpha=0.5,finetune.teacher.temperature=2.0"
    assert taught.model == "original"
    files = []
    for name in ("whole", "cut"):
        folder = tmp_path / name
        folder.mkdir()
        keras_child.save_keras(model, folder / "net.keras")
        np.savez(folder / "data.npz", **arrays)
        command = [sys.executable, "-m", "edgepack", "--verbose", "compress", "net.keras"]
        command += ["--data", "data.npz", "-o", "small.keras", "--method", step]
        if name == "cut":
            _kill_in_epoch(command, folder, steps=2 * 75 + 20)
            saved = list((folder / ".edgepack-cache").rglob("*.training-1.npz"))
            assert len(saved) == 1
            with np.load(saved[0]) as archive:
                assert 1 <= int(archive["epochs"]) <= 2
        subprocess.run([*command, "--report", "r.json"], cwd=folder, check=True, timeout=900)
        files.append((folder / "small.keras").read_bytes())
        report = json.loads((folder / "r.json").read_text())
        assert [step["method"] for step in report["steps"]] == ["finetune"]
    assert files[0] == files[1]


def _kill_in_epoch(command: list[str], folder: Path, steps: int) -> None:
    """Kill a training once it tells of so many optimizer steps; its child dies with it."""
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        words = line.split("step ")
        if len(words) > 1 and int(words[-1].split("/")[0]) >= steps:
            process.send_signal(signal.SIGKILL)
            break
    else:
        raise AssertionError("the training ended before it was to be killed")
    process.stderr.close()
    assert process.wait(timeout=30) == -signal.SIGKILL
