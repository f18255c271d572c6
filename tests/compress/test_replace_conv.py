"""Cheaper convolutions: exact where they can be, the least error where they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgepack.compress.context import Context
from edgepack.compress.layer_inputs import matrix_layers, moments
from edgepack.compress.options import FineTune
from edgepack.compress.replace_conv import Config, run
from edgepack.compress.separable import Patches, pointwise, separable
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.progress import silent
from edgepack.types import Array

NO_TRAINING = FineTune(epochs=0)


def correlated(size: int, seed: int = 0) -> Patches:
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(size, size))
    return Patches(a @ a.T / size, generator.normal(size=size))


def test_a_separable_kernel_is_found_again() -> None:
    generator = np.random.default_rng(1)
    for multiplier in (1, 2):
        depth = generator.normal(size=(3, 3, 4, multiplier))
        point = generator.normal(size=(4, multiplier, 5))
        kernel = np.einsum("hwim,imo->hwio", depth, point)
        fit = separable(kernel, correlated(36), multiplier)
        # a ridge of 1e-8 of the variance keeps it from being exact
        np.testing.assert_allclose(fit.matrix.reshape(kernel.shape), kernel, atol=1e-4)
        assert fit.depthwise is not None and np.abs(fit.depthwise).max() == pytest.approx(1.0)
        again = np.einsum("hwim,imo->hwio", fit.depthwise, fit.pointwise.reshape(4, multiplier, 5))
        np.testing.assert_allclose(again.reshape(36, 5), fit.matrix, atol=1e-12)


def test_no_small_step_makes_the_fit_better() -> None:
    generator = np.random.default_rng(2)
    kernel = generator.normal(size=(3, 3, 3, 4))
    flat, patches = kernel.reshape(27, 4), correlated(27)
    fit = separable(kernel, patches)
    assert fit.depthwise is not None
    best = patches.error(flat, fit.matrix)
    assert 0.0 < best < patches.error(flat, np.zeros_like(flat)) == pytest.approx(1.0)
    for _ in range(20):
        d = fit.depthwise[..., 0] + 0.01 * generator.normal(size=(3, 3, 3))
        p = fit.pointwise[0, 0] + 0.01 * generator.normal(size=(3, 4))
        other = np.einsum("hwi,io->hwio", d, p).reshape(27, 4)
        # the sweeps end when one gains a millionth
        assert patches.error(flat, other) > best - 1e-4
    one = pointwise(kernel, patches, (1, 1))
    span = slice(12, 15)  # the fifth of nine positions
    assert not np.delete(one.matrix, span, axis=0).any()
    residual = patches.covariance[span] @ (flat - one.matrix)
    np.testing.assert_allclose(residual, 0.0, atol=1e-6)  # what is left is orthogonal to it
    assert best < patches.error(flat, one.matrix) < 1.0


def network(seed: int = 0) -> Any:
    """One convolution of stride 1, one of stride 2 on an even size, and a shifted input."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(image)
    x = layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False, name="b")(x)
    x = layers.Conv2D(4, (3, 3), name="c")(x)
    return keras.Model(image, layers.Dense(3, name="end")(layers.Flatten()(x)))


def data() -> Dataset:
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(60, 8, 8, 3)) + 2.0).astype(np.float32)
    x[:, 1:] += x[:, :-1]  # neighbours resemble each other
    labels = np.arange(60) % 3
    return Dataset(Samples((x,), labels), Samples((x,), labels))


def one_tap(kernel: Array, tap: tuple[int, int]) -> Array:
    made = np.zeros_like(kernel)
    made[tap] = kernel[tap]
    return made


@pytest.mark.needs_tf
def test_layers_that_are_separable_or_pointwise_are_replaced_without_loss() -> None:
    model, samples = network(), data()
    a, b = np.asarray(model.get_layer("a").kernel), np.asarray(model.get_layer("b").kernel)
    model.get_layer("a").kernel.assign(np.einsum("hwi,io->hwio", a[..., 0], a[1, 1]))
    # stride 2 on 8 rows: all the padding lies behind, so that the window begins at the pixel
    model.get_layer("b").kernel.assign(one_tap(b, (0, 0)))
    x = samples.train.inputs[0]
    whole = np.asarray(model(x))
    config = Config(max_error=0.001, to="any", samples=40, finetune=NO_TRAINING)
    outcome = run(model, config, Context(samples, silent))
    names = [layer.name for layer in outcome.model.layers]
    assert {"a_depth", "a_point", "b_point", "c"} <= set(names) and "b_depth" not in names
    # the ridge of the fit matters in directions that the 20 fitted samples hardly show
    scale = np.abs(whole).max()
    np.testing.assert_allclose(np.asarray(outcome.model(x)), whole, atol=5e-3 * scale)
    assert outcome.layers[0].elements == 27 + 18 and outcome.layers[1].elements == 30
    assert "c" in outcome.layers[2].name and "stays" in outcome.layers[2].note


@pytest.mark.needs_tf
def test_the_error_that_is_stated_is_the_one_of_the_outputs() -> None:
    import keras

    model, samples = network(3), data()
    uses = [use for use in matrix_layers(model) if use.layer.name == "a"]
    found = moments(model, uses, samples.train)[0]
    kernel = np.asarray(model.get_layer("a").kernel)
    fit = separable(kernel, Patches.of(found))
    stated = Patches.of(found).error(kernel.reshape(27, 6), fit.matrix)
    config = Config(layers=("a",), samples=60, finetune=NO_TRAINING)
    outcome = run(model, config, Context(samples, silent))
    half = np.random.default_rng(0).permutation(60)[30:]
    x = samples.train.inputs[0][half]
    linear = [
        keras.Model(m.inputs[0], m.get_layer(name).output)
        for m, name in ((model, "a"), (outcome.model, "a_point"))
    ]
    wanted, got = (np.asarray(net(x)) for net in linear)
    assert 0.0 < stated < 1.0 and wanted.min() == 0.0  # behind the ReLU
    said = float(outcome.layers[0].note.split()[2])
    model.get_layer("a").activation = keras.activations.linear
    outcome.model.get_layer("a_point").activation = keras.activations.linear
    wanted, got = (
        np.asarray(keras.Model(m.inputs[0], m.get_layer(name).output)(x), np.float64)
        for m, name in ((model, "a"), (outcome.model, "a_point"))
    )
    off = (wanted - got).reshape(-1, 6)
    off -= off.mean(axis=0)
    variance = (wanted.reshape(-1, 6) - wanted.reshape(-1, 6).mean(axis=0)) ** 2
    # the note has four digits
    assert (off**2).sum() / variance.sum() == pytest.approx(said, abs=1e-3)


@pytest.mark.needs_tf
def test_what_cannot_be_is_refused() -> None:
    model, samples = network(), data()
    context = Context(samples, silent)
    with pytest.raises(ConfigError, match="would miss"):
        run(model, Config(max_error=1e-6, samples=40, finetune=NO_TRAINING), context)
    with pytest.raises(ConfigError, match="finds no layer"):
        run(model, Config(layers=("none",), finetune=NO_TRAINING), context)
    with pytest.raises(ConfigError, match="no replacement would be smaller"):
        run(model, Config(layers=("c",), to="pointwise", finetune=NO_TRAINING), context)
    with pytest.raises(DataError, match="has none"):
        run(model, Config(layers=("a",)), Context(None, silent))
    with pytest.raises(ValidationError, match="either max_error or layers"):
        Config()
