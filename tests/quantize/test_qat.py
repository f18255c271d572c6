"""Training through the simulation: agreement with the integer model, interruption, repetition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgepack.cli import run
from edgepack.errors import DataError, UnsupportedError
from edgepack.models.isolate import has_package, kept_child
from edgepack.pipeline.quantize import oracle_outputs
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.ptq import PtqOptions, calibrate
from edgepack.quantize.qat import AGREEMENT, Trained, train
from edgepack.quantize.qat_graph import nodes_of
from edgepack.quantize.qat_ops import trouble
from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.rules import uniform
from edgepack.types import Array
from tests.quantize.samples import FOLDER
from tests.quantize.small_float import small_float, write_digits

pytestmark = pytest.mark.skipif(not has_package("tensorflow"), reason="needs TensorFlow")

MOBILE = FOLDER / "mobile.tflite"
TRAIN, TEST = 768, 200
OPTIONS = PtqOptions(rules=uniform("int4"))
QAT = QatOptions(epochs=2, batch_size=32, learning_rate=1e-2, checkpoint_seconds=0)


@dataclass
class Told:
    """A `Progress` that remembers, and interrupts after so many steps of training."""

    stop_after: int | None = None
    lines: list[str] = field(default_factory=list)

    def __call__(self, stage: str, fraction: float | None, message: str) -> None:
        if stage == "qat" and "loss" in message:
            self.lines.append(message)
            if self.stop_after is not None and len(self.lines) >= self.stop_after:
                raise KeyboardInterrupt


@pytest.fixture(scope="module")
def child() -> Iterator[None]:
    """One process for all trainings, as TensorFlow takes seconds to start."""
    with kept_child():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qat") / "digits.npz"
    write_digits(path, TRAIN, TEST)
    return path


@pytest.fixture(scope="module")
def calibrated(data: Path) -> Calibrated:
    with np.load(data) as arrays:
        samples = [(row[None],) for row in arrays["x_train"][:40]]
    return calibrate(small_float(), samples, OPTIONS)


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def trained(
    child: None,
    calibrated: Calibrated,
    data: Path,
    told: Told,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    folder = tmp_path_factory.mktemp("whole")
    return train(calibrated, OPTIONS, QAT, data, folder, told, oracle_outputs)


def test_the_integer_model_computes_what_was_trained(trained: Trained) -> None:
    assert trained.agreement.samples == TEST
    assert trained.agreement.outputs >= AGREEMENT
    assert trained.agreement.argmax == 1.0


def test_four_bits_are_trained(trained: Trained) -> None:
    report = trained.report
    assert report["integer"]["value"] == report["simulated"]["value"]
    assert report["before"]["value"] < 0.3, "random weights know nothing"
    assert report["integer"]["value"] > 0.8
    assert report["epochs"][1]["loss"] < report["epochs"][0]["loss"]


def test_progress_tells_loss_and_accuracy(trained: Trained, told: Told) -> None:
    assert trained.report["steps"] == 48
    assert len(told.lines) == 48
    assert told.lines[-1].startswith("epoch 2/2, step 24/24, loss ")
    assert told.lines[-1].endswith(" %")


def test_an_interrupted_training_ends_in_the_same_bytes(
    trained: Trained, calibrated: Calibrated, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(calibrated, OPTIONS, QAT, data, tmp_path, Told(stop_after=31))
    assert (tmp_path / "qat_checkpoint.npz").is_file()
    again = train(calibrated, OPTIONS, QAT, data, tmp_path)
    assert again.report["resumed_at_step"] >= 28
    assert again.result.data == trained.result.data
    assert again.report["epochs"] == trained.report["epochs"]
    assert not (tmp_path / "qat_checkpoint.npz").exists()


def test_a_checkpoint_of_other_options_is_not_used(
    child: None, calibrated: Calibrated, data: Path, tmp_path: Path
) -> None:
    other = QatOptions(epochs=1, batch_size=128, ranges="average", distill=1.0)
    (tmp_path / "qat_checkpoint.npz").write_bytes(b"PK\x03\x04 cut short")
    made = train(calibrated, PtqOptions(), other, data, tmp_path, reference=oracle_outputs)
    assert made.report["resumed_at_step"] is None
    assert made.agreement.outputs >= AGREEMENT


def test_labels_that_do_not_fit_are_refused(
    child: None, calibrated: Calibrated, data: Path, tmp_path: Path
) -> None:
    with np.load(data) as arrays:
        wrong = {**arrays, "y_train": arrays["y_train"].astype(np.int64) + 5}
    np.savez(tmp_path / "wrong.npz", **wrong)
    with pytest.raises(DataError, match="labels go from 5 to 14, the model has 10 classes"):
        train(calibrated, OPTIONS, QAT, tmp_path / "wrong.npz", tmp_path)


def test_what_cannot_be_trained_is_named() -> None:
    from edgepack.convert.flatbuffer import read_model
    from edgepack.quantize.plan import make_plan

    data = (FOLDER / "lstm_fused.tflite").read_bytes()
    model = read_model(data)
    plan = make_plan(model, uniform("float"), {})
    with pytest.raises(UnsupportedError, match="UNIDIRECTIONAL_SEQUENCE_LSTM") as caught:
        nodes_of(model, plan)
    assert "--qat" in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("op", "channels", "second", "options", "why"),
    [
        ("CONV_2D", 4, np.zeros((4, 3, 3, 1)), {}, "grouped"),
        ("CONV_2D", 4, np.zeros((4, 3, 3, 4)), {}, None),
        ("DEPTHWISE_CONV_2D", 4, None, {"strideH": 2, "strideW": 1}, "two different strides"),
        ("MEAN", 4, np.array([0, 1]), {}, "over the batch"),
        ("MEAN", 4, np.array([1, 2]), {}, None),
        ("CONCATENATION", 4, None, {"axis": 0}, "joins batches"),
        ("TRANSPOSE", 4, np.array([1, 0, 2]), {}, "moves the batch"),
    ],
)
def test_operators_that_batches_or_gradients_forbid(
    op: str, channels: int, second: Array | None, options: dict[str, int], why: str | None
) -> None:
    found = trouble(op, channels, (None, second), SimpleNamespace(**options))
    assert (found is None) == (why is None)
    assert why is None or (found is not None and why in found)


def test_options_of_a_training_need_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["quantize", str(MOBILE), "--data", str(data), "-o", str(tmp_path / "m.tflite")]
    assert run([*common, "--distill", "0.5"]) == 2
    assert "--qat" in capsys.readouterr().err
    assert run([*common, "--qat", "1", "--teacher", str(MOBILE)]) == 2
    assert "--distill" in capsys.readouterr().err


@pytest.mark.slow  # ten operators, each of which TensorFlow traces several times
def test_a_deep_network_is_simulated_to_the_last_bit(
    child: None, data: Path, tmp_path: Path
) -> None:
    with np.load(data) as arrays:
        samples = [(row[None],) for row in arrays["x_train"][:40]]
    deep = calibrate(MOBILE.read_bytes(), samples, PtqOptions())
    options = QatOptions(epochs=1, batch_size=128, learning_rate=1e-5)
    made = train(deep, PtqOptions(), options, data, tmp_path, reference=oracle_outputs)
    assert made.agreement.outputs >= AGREEMENT


@pytest.mark.slow  # another start of TensorFlow
def test_the_command_trains(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.tflite"
    code = run(
        ["quantize", str(MOBILE), "--data", str(data), "-o", str(out), "--qat", "1", "--distill",
         "0.5", "--teacher", str(MOBILE), "--json"]
    )  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["qat"]["agreement"]["outputs"] >= AGREEMENT
    assert document["settings"]["qat"]["distill"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]
