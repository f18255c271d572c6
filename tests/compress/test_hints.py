"""What a teacher tells of its inside, students of other depths, and teachers of other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgepack.compress.apply import _checkpoints
from edgepack.compress.blocks import blocks, shallower
from edgepack.compress.context import Context
from edgepack.compress.distill import Config, run
from edgepack.compress.hints import attention_map, parse_pair, probe
from edgepack.compress.options import FineTune, Teacher
from edgepack.compress.teacher import load_teacher, said_of
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.progress import silent
from tests import small_models
from tests.compress import networks
from tests.compress.test_structured import data_for

pytestmark = pytest.mark.needs_tf


def unlabelled(model: Any, count: int = 40) -> Dataset:
    shape = model.inputs[0].shape[1:]
    x = np.random.default_rng(3).normal(size=(count, *shape)).astype(np.float32)
    return Dataset(Samples((x,)), Samples((x,)))


def separable(blocks_count: int) -> Any:
    """A stem, residual blocks of one shape, a wider transition, and separable blocks."""
    import keras
    from keras import layers

    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(image)
    x = layers.ReLU(name="stem_act")(layers.BatchNormalization(name="stem_norm")(x))
    for index in range(blocks_count):
        y = layers.Conv2D(6, 3, padding="same", activation="relu", name=f"res{index}_a")(x)
        y = layers.Conv2D(6, 3, padding="same", name=f"res{index}_b")(y)
        x = layers.ReLU(name=f"res{index}_out")(x + y)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="down")(x)
    for index in range(blocks_count):
        x = layers.DepthwiseConv2D(3, padding="same", name=f"dw{index}")(x)
        x = layers.ReLU(name=f"dw{index}_act")(x)
        x = layers.Conv2D(8, 1, activation="relu", name=f"pw{index}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return networks.randomize(keras.Model(image, layers.Dense(4, name="end")(x)))


def layer_names(model: Any) -> set[str]:
    return {layer.name for layer in model.layers}


def test_blocks_are_residual_branches_and_separable_pairs() -> None:
    found = blocks(separable(3))
    spare = [block.spare for block in found]
    assert spare == [False, *3 * [True], False, *3 * [True], False, False]
    assert found[8].names == ("pool",)
    assert found[0].names == ("stem", "stem_norm", "stem_act")
    assert {"res1_a", "res1_b", "res1_out"} <= set(found[2].names)
    assert found[5].names == ("dw0", "dw0_act", "pw0")
    assert not any(block.spare for block in blocks(networks.lenet_300()))


def test_a_shallower_network_lacks_the_last_blocks_of_each_run() -> None:
    model = separable(4)
    small = shallower(model, 0.5)
    assert layer_names(small) & {f"res{i}_a" for i in range(4)} == {"res0_a", "res1_a"}
    assert layer_names(small) & {f"dw{i}" for i in range(4)} == {"dw0", "dw1"}
    assert small.count_params() == separable(2).count_params()
    assert [weight.shape for weight in small.weights] == [w.shape for w in separable(2).weights]
    x = np.zeros((1, 8, 8, 3), np.float32)
    small.set_weights(separable(2).get_weights())
    np.testing.assert_array_equal(np.asarray(small(x)), np.asarray(separable(2)(x)))
    with pytest.raises(ConfigError, match="leaves out none"):
        shallower(networks.lenet_300(), 0.5)
    student = run(model, Config(depth=0.25, width=0.5, finetune=FineTune(epochs=0)),
                  Context(None, silent, lambda: model)).model  # fmt: skip
    assert "dw1" not in layer_names(student) and student.get_layer("stem").filters == 3


def test_attention_by_hand() -> None:
    features = np.array([[[[3.0, 4.0], [0.0, 0.0]]]], np.float32)  # squares 25 and 0
    np.testing.assert_allclose(attention_map(features), [[1.0, 0.0]], atol=1e-7)
    features[0, 0, 1] = (0.0, 5.0)
    np.testing.assert_allclose(attention_map(features), [[0.5**0.5, 0.5**0.5]], atol=1e-7)


def test_hints_of_equal_networks_are_no_loss_and_gradients_reach_the_regressor() -> None:
    import tensorflow as tf

    teacher, student = networks.residual(), networks.residual()
    hints = probe(teacher, student, [parse_pair("stem")], [parse_pair("inner:inner")], 0)
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        feature, attention = hints.losses(hints.ask(x), hints.student(x)[1:])
    assert float(attention) == 0.0 and float(feature) > 0.1
    assert np.abs(tape.gradient(feature, hints.variables[0].value)).max() > 0.0
    hints.variables[0].assign(np.eye(8, dtype=np.float32))
    # a product with the identity in float32
    assert float(hints.losses(hints.ask(x), hints.student(x)[1:])[0]) < 1e-12
    with pytest.raises(ConfigError, match="differ in their last axis"):
        probe(teacher, student, [parse_pair("stem:wide")], [], 0)
    with pytest.raises(ConfigError, match="no layer 'steam'"):
        probe(teacher, student, [parse_pair("stem:steam")], [], 0)


def test_a_student_learns_features_and_attention_without_labels() -> None:
    import keras

    teacher = networks.residual()
    data = unlabelled(teacher)
    config = Config(
        width=0.6, alpha=1.0, hints=("inner",), attention=("stem",),
        finetune=FineTune(epochs=80, learning_rate=0.03),
    )  # fmt: skip

    def distance(student: Any) -> float:
        hints = probe(teacher, student, [], [parse_pair("stem"), parse_pair("inner")], 0)
        x = data.train.inputs[0]
        return float(hints.losses(hints.ask(x), hints.student(x, training=False)[1:])[1])

    none = Config(width=0.6, finetune=FineTune(epochs=0))
    context = Context(data, silent, lambda: teacher)
    distances = []
    for step in (none, config):
        keras.utils.set_random_seed(1)  # of the student's first weights
        distances.append(distance(run(teacher, step, context).model))
    assert distances[1] < 0.8 * distances[0]
    with pytest.raises(DataError, match="needs labels"):
        run(teacher, Config(), context)


def test_a_label_below_zero_is_none() -> None:
    teacher = networks.lenet_300()
    data = data_for(teacher, 3)
    assert data.train.labels is not None
    few = np.where(np.arange(len(data.train)) < 5, data.train.labels, -1)
    alone = Dataset(data.train.take(np.arange(5)), data.test)
    fit = FineTune(epochs=60, learning_rate=0.02)
    for labels in (few, alone.train.labels):
        student = networks.lenet_300()
        samples = Samples(data.train.inputs, labels) if labels is few else alone.train
        run(student, Config(alpha=0.0, finetune=fit),
            Context(Dataset(samples, data.test), silent, lambda: teacher))  # fmt: skip
        said = np.asarray(student(alone.train.inputs[0])).argmax(axis=1)
        np.testing.assert_array_equal(said, alone.train.labels)


def test_a_tflite_file_teaches(tmp_path: Path) -> None:
    import tensorflow as tf

    model = networks.lenet_300()
    path = tmp_path / "teacher.tflite"
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    path.write_bytes(converter.convert())
    data = unlabelled(model, 300)
    teacher = load_teacher(path)
    said = said_of(teacher, data.train, silent)
    # float32 sums of up to 20 terms in another order, through a softmax
    np.testing.assert_allclose(said, np.asarray(model(data.train.inputs[0])), atol=1e-5)
    student = run(networks.lenet_300(), Config(teacher=str(path), width=0.7, alpha=1.0,
                  finetune=FineTune(epochs=60, learning_rate=0.02, batch_size=64)),
                  Context(data, silent)).model  # fmt: skip
    got = np.asarray(student(data.train.inputs[0])).argmax(axis=1)
    assert (got == said.argmax(axis=1)).mean() > 0.9
    with pytest.raises(ConfigError, match="shows its outputs only"):
        run(networks.lenet_300(), Config(teacher=str(path), alpha=1.0, hints=("first",)),
            Context(data, silent))  # fmt: skip


def test_another_teacher_in_the_same_file_is_another_step(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"1")
    handle = ModelHandle(tmp_path / "net.keras", ModelFormat.KERAS, "0", (), (), (), 0)
    steps = (Config(), Config(teacher="t.keras"))
    (tmp_path / "t.keras").write_bytes(b"1")
    first = _checkpoints(handle, steps, None, tmp_path, tmp_path)
    (tmp_path / "t.keras").write_bytes(b"2")
    second = _checkpoints(handle, steps, None, tmp_path, tmp_path)
    assert first is not None and second is not None
    assert first[0] == second[0] and first[1] != second[1]


def test_a_student_may_be_a_file(tmp_path: Path) -> None:
    teacher, other = networks.lenet_300(), networks.lenet_300()
    other.save(tmp_path / "student.keras")
    context = Context(None, silent, lambda: teacher, tmp_path)
    none = FineTune(epochs=0)
    student = run(teacher, Config(student="student.keras", finetune=none), context).model
    assert student is not teacher and student.count_params() == other.count_params()
    with pytest.raises(ConfigError, match="does not exist"):
        run(teacher, Config(student="no.keras", finetune=none), context)
    (tmp_path / "student.tflite").write_bytes(small_models.small_cnn())
    with pytest.raises(ConfigError, match="cannot be trained"):
        run(teacher, Config(student="student.tflite", finetune=none), context)
    with pytest.raises(ValidationError, match="give a student, or width"):
        Config(student="a.keras", depth=0.5)
    with pytest.raises(ValidationError, match="set teacher"):
        Config(finetune=FineTune(teacher=Teacher()))


@pytest.mark.slow
def test_an_onnx_file_teaches(tmp_path: Path) -> None:
    for package in ("onnx", "onnxruntime", "onnx2tf"):
        pytest.importorskip(package)
    import onnxruntime

    from tests.onnx.models import save_cnn

    path = save_cnn(tmp_path / "teacher.onnx")
    session = onnxruntime.InferenceSession(str(path))
    entry = session.get_inputs()[0]
    x = np.random.default_rng(0).normal(size=(3, *entry.shape[1:])).astype(np.float32)
    wanted = [session.run(None, {entry.name: row[None]})[0] for row in x]
    # Keras students have channels last, and the conversion turns the teacher's round
    said = said_of(load_teacher(path), Samples((np.moveaxis(x, 1, -1),)), silent)
    # float32 sums in another order
    np.testing.assert_allclose(said, np.concatenate(wanted), rtol=1e-4, atol=1e-5)
