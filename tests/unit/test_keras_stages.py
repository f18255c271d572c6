"""Training, pruning and quantization with Keras, on a network that trains in a second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgepack.compress.apply import Compressed, apply
from edgepack.compress.options import FineTune
from edgepack.compress.prune_magnitude import Config
from edgepack.errors import UnsupportedError
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.entry import parse_entry, run_data_entry, run_model_entry
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.isolate import Task, run_task, warm_children
from edgepack.models.keras_file import handle_from
from edgepack.models.litert import run_samples
from edgepack.models.load import load_model
from edgepack.quantize.int8 import Quantized, quantize_int8
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.types import DType

pytestmark = pytest.mark.needs_tf

SECONDS = 300.0

SOURCE = '''
import numpy as np

def load_data(seed):
    """Where in an 8x8 image the bright square is: one of four corners."""
    generator = np.random.default_rng(seed)
    labels = np.arange(240) % 4
    images = generator.uniform(0, 0.3, (240, 8, 8, 1)).astype(np.float32)
    for image, label in zip(images, labels):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 0.7
    return (images[:160], labels[:160]), (images[160:], labels[160:])

def build_and_train(data):
    import keras
    model = keras.Sequential([
        keras.Input((8, 8, 1), name="image"),
        keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv"),
        keras.layers.AveragePooling2D(4),
        keras.layers.Flatten(),
        keras.layers.Dense(4, activation="softmax", name="corner"),
    ])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    model.fit(data.train.inputs[0], data.train.labels, epochs=4, verbose=0)
    return model
'''


@dataclass(frozen=True)
class Run:
    """One pass through all stages, and what the user's terminal saw of it."""

    data: Path
    trained: ModelHandle
    compressed: Compressed
    quantized: Quantized
    stages: frozenset[str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    base = tmp_path_factory.mktemp("stages")
    (base / "mine.py").write_text(SOURCE)
    stages: set[str] = set()

    def note(stage: str, fraction: float | None, message: str) -> None:
        assert fraction is None or 0 <= fraction <= 1
        stages.add(stage)

    steps = [Config(sparsity=0.75, end=0.5, finetune=FineTune(epochs=4, learning_rate=0.01))]
    with warm_children(3):
        data = run_data_entry(parse_entry("mine:load_data", base), base / "data", seed=1)
        trained = run_model_entry(
            parse_entry("mine:build_and_train", base), base / "model", data=data, progress=note
        )
        compressed = apply(trained, steps, data, base / "compress", progress=note)
        quantized = quantize_int8(
            compressed.handle,
            QuantizeRecipe(calibration_samples=50),
            data,
            base / "quantize",
            progress=note,
        )
    yield Run(data, trained, compressed, quantized, frozenset(stages))


def test_the_handle_says_what_was_trained(whole: Run) -> None:
    handle = whole.trained
    assert handle.format is ModelFormat.KERAS
    assert (handle.inputs[0].name, handle.inputs[0].shape) == ("image", (-1, 8, 8, 1))
    assert handle.outputs[0].shape == (-1, 4)
    assert handle.parameters == 9 * 8 + 8 + 32 * 4 + 4
    assert handle.dtypes == (DType.FLOAT32,)
    assert handle.producer is not None and handle.producer.startswith("Keras 3")
    assert load_model(handle.path) == handle


def test_pruning_zeroes_the_share_asked_for_and_claims_no_saving(whole: Run) -> None:
    (step,) = whole.compressed.report["steps"]
    layers = {layer["name"]: (layer["elements"], layer["zeros"]) for layer in step["layers"]}
    assert layers == {"conv/kernel": (72, 54), "corner/kernel": (128, 96)}
    assert step["sparsity"] == 0.75
    assert step["after"]["test"]["value"] >= 0.9  # the four corners are easy to tell apart
    assert step["device_saving"].startswith("none with TFLite Micro")
    assert json.loads(whole.compressed.report_path.read_text()) == whole.compressed.report


def test_quantization_is_integer_and_keeps_the_zeros(whole: Run) -> None:
    quantized = whole.quantized
    assert quantized.handle.is_full_integer
    assert quantized.handle.inputs[0].dtype is DType.INT8
    assert quantized.handle.inputs[0].shape == (1, 8, 8, 1)
    from edgepack.models.tflite_file import read_tflite

    model = read_tflite(quantized.handle.path)
    zeros = {}
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        shape = tuple(tensor.shape)
        if data is not None and len(shape) in (2, 4) and tensor.type == 9:  # TensorType INT8
            zeros[int(np.prod(shape))] = int((np.asarray(data) == 0).sum())
    # exact zeros stay exact with symmetric weights; small weights may join them
    assert zeros[72] >= 54 and zeros[128] >= 96


def test_the_hand_over_is_complete_and_true(whole: Run) -> None:
    quantized, record = whole.quantized, whole.quantized.recipe
    assert json.loads(quantized.recipe_path.read_text()) == record
    assert record["model"]["sha256"] == quantized.handle.sha256
    assert record["source"]["sha256"] == whole.compressed.handle.sha256
    assert record["calibration"] == {"split": "train", "samples": 50}
    assert str(whole.data.parent.parent) not in quantized.recipe_path.read_text()
    with np.load(quantized.test_data) as arrays:
        x, y = arrays["x"], arrays["y"]
    assert x.dtype == np.int8
    np.testing.assert_array_equal(y, read_dataset(whole.data).test.labels)
    # the accuracy in the record, counted again from the files that were handed over
    outputs = [output[0][0] for output in run_samples(quantized.handle, Samples((x,), y))]
    hits = int((np.array(outputs).argmax(axis=1) == y).sum())
    assert record["test"]["int8"] == {"metric": "top1", "n": len(y), "value": hits / len(y)}


def test_every_stage_reported_progress(whole: Run) -> None:
    assert whole.stages == {"mine:build_and_train", "prune_magnitude", "quantize"}


def test_finished_models_are_not_trained_or_quantized_again(whole: Run, tmp_path: Path) -> None:
    finished = whole.quantized.handle
    with pytest.raises(UnsupportedError, match="cannot be trained"):
        apply(finished, [Config(sparsity=0.5)], whole.data, tmp_path)
    with pytest.raises(UnsupportedError, match="not quantized again"):
        quantize_int8(finished, QuantizeRecipe(), whole.data, tmp_path)


def test_pruned_weights_stay_zero_in_every_step() -> None:
    config = {
        "sparsity": 0.8,
        "initial_sparsity": 0.2,
        "end": 0.5,
        "every": 1,
        "skip": ["skipped/*"],
        "finetune": {"epochs": 4, "batch_size": 16},
    }
    task = Task("tests.unit.keras_tasks:watch_pruning", {"config": config}, "watching", SECONDS)
    result = run_task(task)
    zeros = np.array(result["zeros"])
    assert len(zeros) == 40  # 4 epochs of 160 samples in batches of 16
    assert (np.diff(zeros[:, 1]) >= 0).all()
    # `last` (30 weights) is at exactly the schedule's count in every single step
    steps = np.minimum(np.arange(1, 41) / 20, 1.0)
    wanted = np.floor((0.8 + (0.2 - 0.8) * (1 - steps) ** 3) * 30 + 0.5)
    assert zeros[:, 1].tolist() == wanted.tolist()
    # `first` (240) is constrained to be non-negative, which adds zeros of its own
    assert (zeros[20:, 0] >= 192).all()
    assert result["own_constraint_held"] and result["own_constraint_restored"]
    assert result["skipped"] == 0
    assert result["layers"] == [["first", 240], ["last", 30]]


@pytest.mark.slow
def test_an_open_dimension_is_refused_by_name(tmp_path: Path) -> None:
    path, data = tmp_path / "open.keras", tmp_path / "data.npz"
    np.savez(data, x=np.zeros((10, 5, 4), np.float32))
    task = Task("tests.unit.keras_tasks:save_open_model", {"out": str(path)}, "saving", SECONDS)
    handle = handle_from(path, run_task(task))
    assert handle.inputs[0].shape == (-1, -1, 4)
    with pytest.raises(UnsupportedError, match="input series has an open dimension"):
        quantize_int8(handle, QuantizeRecipe(), data, tmp_path / "out")


@pytest.mark.slow
def test_two_inputs_of_one_shape_are_not_mixed_up(tmp_path: Path) -> None:
    path, data = tmp_path / "two.keras", tmp_path / "data.npz"
    generator = np.random.default_rng(0)
    small, large = generator.uniform(0, 1, (40, 4)), generator.uniform(0, 9, (40, 4))
    # Two calibration samples span every range, so that no test sample saturates.
    small[0], large[0], small[1], large[1] = 0.0, 9.0, 1.0, 0.0
    names = {"train_input_0": small[:30], "train_input_1": large[:30]}
    names |= {"test_input_0": small[30:], "test_input_1": large[30:]}
    np.savez(data, allow_pickle=False, **{k: v.astype(np.float32) for k, v in names.items()})
    task = Task("tests.unit.keras_tasks:save_two_inputs", {"out": str(path)}, "saving", SECONDS)
    quantized = quantize_int8(
        handle_from(path, run_task(task)), QuantizeRecipe(), data, tmp_path / "out"
    )
    (first, second), outputs = quantized.handle.inputs, quantized.handle.outputs
    assert "zebra" in first.name and "ant" in second.name
    # ranges of 1 and 9 over 255 steps
    assert first.scale is not None and second.scale is not None
    assert first.scale == pytest.approx(1 / 255, rel=1e-6)
    assert second.scale == pytest.approx(9 / 255, rel=1e-6)
    with np.load(quantized.test_data) as arrays:
        stored = Samples((arrays["input_0"], arrays["input_1"]))
    real = read_dataset(data).test.inputs
    for index, got in enumerate(run_samples(quantized.handle, stored)):
        wanted = (real[0][index] - real[1][index], real[1][index])
        for tensor, value, reference in zip(outputs, got, wanted, strict=True):
            assert tensor.scale is not None and tensor.zero_point is not None
            difference = (value[0].astype(float) - tensor.zero_point) * tensor.scale - reference
            # half a step of each input's and of the output's own rounding, and one for arithmetic
            limit = 0.5 * (first.scale + second.scale) + 1.5 * tensor.scale
            assert np.abs(difference).max() <= limit
