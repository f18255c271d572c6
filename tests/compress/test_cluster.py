"""Weight sharing: k-means, trained values, and bytes that can be decoded again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.account import account, layer_bytes, relative
from edgepack.compress.cluster import Config, run
from edgepack.compress.context import Context
from edgepack.compress.kmeans import Init, kmeans, nearest
from edgepack.compress.options import FineTune
from edgepack.errors import ConfigError
from edgepack.models.progress import silent
from edgepack.ops.shared.coded_huffman import encode_huffman
from tests.compress import networks
from tests.compress.test_structured import data_for


@pytest.mark.parametrize("init", ["linear", "density", "random"])
def test_kmeans_finds_what_lies_apart(init: Init) -> None:
    generator = np.random.default_rng(0)
    middles = np.array([-2.0, -0.5, 0.4, 3.0])
    values = (middles[:, None] + generator.uniform(-0.05, 0.05, (4, 500))).reshape(-1)
    found = kmeans(values, 4, init, seed=1)
    np.testing.assert_allclose(found, middles, atol=0.01)
    np.testing.assert_array_equal(nearest(middles, found), np.arange(4))
    assert kmeans(np.array([1.0, 1.0, 2.0]), 4, init, 0).tolist() == [1.0, 2.0]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), count=st.integers(2, 16))
def test_a_centroid_is_the_mean_of_its_own(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(size=300)
    centroids = kmeans(values, count, "linear", 0)
    index = nearest(values, centroids)
    for i in np.unique(index):
        # the sums run over the same numbers in another order
        assert centroids[i] == pytest.approx(values[index == i].mean(), abs=1e-12)


def unpack(stream: Any, book: Any, count: int) -> list[int]:
    """A slow reader of canonical codes, written from the format and not from the encoder."""
    per_length, symbols = book[:12].tolist(), book[12:].tolist()
    bits = iter(np.unpackbits(stream).tolist())
    out = []
    for _ in range(count):
        code = first = position = 0
        for length_count in per_length:
            code = 2 * code + next(bits)
            first *= 2
            if code - first < length_count:
                out.append(symbols[position + code - first])
                break
            position += length_count
            first += length_count
    return out


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), density=st.floats(0.01, 1.0), bits=st.integers(2, 8))
def test_relative_indices_and_codes_give_the_weights_back(
    seed: int, density: float, bits: int
) -> None:
    generator = np.random.default_rng(seed)
    book = np.array([-1.5, -0.25, 0.0, 0.5, 2.0], np.float32)
    flat = book[generator.integers(0, 5, 700)] * (generator.random(700) < density)
    gaps, positions = relative(flat, bits)
    if not len(gaps):
        assert not flat.any()
        return
    symbols = np.searchsorted(book, flat[positions]).astype(np.uint8)
    read = []
    for stream_of in (gaps, symbols):
        coded = encode_huffman(stream_of)
        assert coded is not None
        read.append(unpack(coded[0], coded[1], len(gaps)))
    again, position = np.zeros(700, np.float32), -1
    for gap, symbol in zip(*read, strict=True):
        position += gap + 1
        again[position] = book[symbol]
    np.testing.assert_array_equal(again, flat)


def test_bytes_by_hand() -> None:
    weights = np.zeros((1, 80), np.float32)
    weights[0, 9::10] = 0.5  # eight weights, nine zeros before each: one symbol in both streams
    counted = layer_bytes("w", weights)
    assert counted is not None
    assert (counted.values, counted.gaps) == (1, 1)  # eight codes of one bit each
    assert counted.tables == 2 * (12 + 1)
    assert counted.codebook == 8 and counted.nonzero == 8 and counted.index_bits == 4
    whole = account({"w": weights, "b": np.zeros(3, np.float32)})
    assert whole["original"] == 4 * 83
    assert whole["compressed"] == 12 + counted.total
    assert layer_bytes("many", np.arange(300.0)) is None


@pytest.mark.needs_tf
def test_layers_keep_their_zeros_and_few_values_through_training() -> None:
    model = networks.lenet_300()
    kernel = model.get_layer("first").kernel
    pruned = np.arange(20 * 12).reshape(20, 12) % 3 == 0
    kernel.assign(np.asarray(kernel) * ~pruned)
    fit = FineTune(epochs=3, learning_rate=0.02)
    config = Config(bits=4, layer_bits={"second/*": 2, "last/*": 1}, finetune=fit)
    data = data_for(model, 3)
    none = FineTune(epochs=0)
    before = networks.lenet_300()
    before.set_weights(model.get_weights())
    run(before, Config(bits=4, layer_bits={"second/*": 2, "last/*": 1}, finetune=none),
        Context(None, silent))  # fmt: skip
    outcome = run(model, config, Context(data, silent))
    counts = {}
    for layer in ("first", "second", "last"):
        weights = np.asarray(model.get_layer(layer).kernel)
        start = np.asarray(before.get_layer(layer).kernel)
        counts[layer] = len(np.unique(weights))
        # every weight still shares its value with those that it shared it with at first
        for value in np.unique(start):
            assert len(np.unique(weights[start == value])) == 1
        assert not np.array_equal(weights, start)
    assert counts == {"first": 16, "second": 4, "last": 2}
    np.testing.assert_array_equal(np.asarray(model.get_layer("first").kernel) == 0.0, pruned)
    assert outcome.layers[0].zeros == int(pruned.sum())


@pytest.mark.needs_tf
def test_a_values_gradient_is_the_sum_of_its_weights() -> None:
    """One step of training by hand: Adam's first step has the sign of that sum."""
    import tensorflow as tf

    model = networks.lenet_300()
    data = data_for(model, 3)
    twin = networks.lenet_300()
    none, one = FineTune(epochs=0), FineTune(epochs=1, batch_size=96, learning_rate=0.01)
    run(twin, Config(bits=2, finetune=none), Context(None, silent))
    run(model, Config(bits=2, finetune=one), Context(data, silent))
    with tf.GradientTape() as tape:
        outputs = twin(data.train.inputs[0], training=True)
        losses = tf.keras.losses.sparse_categorical_crossentropy(data.train.labels, outputs)
        loss = tf.reduce_mean(losses)
    kernel = twin.get_layer("first").kernel
    gradient = np.asarray(tape.gradient(loss, kernel.value))
    start, moved = np.asarray(kernel), np.asarray(model.get_layer("first").kernel)
    for value in np.unique(start):
        step = (moved - start)[start == value][0]
        # lr * g / (|g| + 1e-7 of Adam), of float32 weights around 1
        assert step == pytest.approx(-0.01 * np.sign(gradient[start == value].sum()), abs=1e-4)


@pytest.mark.needs_tf
def test_a_pattern_that_fits_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="matches no weights"):
        run(networks.lenet_300(), Config(layer_bits={"frist/*": 2}), Context(None, silent))
