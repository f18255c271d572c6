"""Sixteen bits and adapters: what every method's training can do besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepack.compress import prune_magnitude
from edgepack.compress.context import Context
from edgepack.compress.finetune import finetune
from edgepack.compress.lora import adapters
from edgepack.compress.options import FineTune, Precision
from edgepack.compress.precision import computing_in, optimizer_for, scaled
from edgepack.compress.reparametrize import forward_with, settle
from edgepack.errors import ConfigError
from edgepack.models.progress import silent
from tests.compress import networks
from tests.compress.test_structured import data_for, inputs_of

pytestmark = pytest.mark.needs_tf


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_layers_compute_in_sixteen_bits_and_weights_are_float32(precision: Precision) -> None:
    model = networks.convolutions()
    x = inputs_of(model)
    whole = np.asarray(model(x, training=False))
    with computing_in(model, precision):
        assert model.get_layer("a")(x).dtype == precision
        assert model.get_layer("end").compute_dtype == "float32"
        inside = np.asarray(model(x, training=False))
        assert inside.dtype == np.float32
    # 8 bits of mantissa (bfloat16) through five layers, of values around the largest
    np.testing.assert_allclose(inside, whole, atol=0.1 * np.abs(whole).max())
    assert np.abs(inside - whole).max() > 1e-4 * np.abs(whole).max()
    data = data_for(model, 4)
    finetune(model, data, FineTune(epochs=1, precision=precision), seed=0)
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert model.get_layer("a").dtype_policy.name == "float32"
    assert not np.array_equal(np.asarray(model(x, training=False)), whole)
    kernel = np.asarray(model.get_layer("c").kernel)
    assert np.abs(kernel - kernel.astype(np.float16)).max() > 0.0  # more than 16 bits are kept


def test_an_overflow_in_float16_leaves_the_step_out_and_halves_the_scale() -> None:
    import keras
    import tensorflow as tf

    optimizer = optimizer_for(0.1, "float16")
    weight = keras.Variable(np.ones(3, np.float32))
    optimizer.build([weight])
    first = float(optimizer.dynamic_scale)
    assert float(scaled(optimizer, tf.constant(2.0))) == 2.0 * first
    optimizer.apply([tf.constant([1.0, np.inf, 1.0])], [weight])
    np.testing.assert_array_equal(np.asarray(weight), np.ones(3))
    assert float(optimizer.dynamic_scale) == first / 2
    optimizer.apply([tf.constant([1.0, 1.0, 1.0]) * first], [weight])
    assert (np.asarray(weight) < 1.0).all()


@pytest.mark.parametrize("make", [networks.lenet_300, networks.convolutions, networks.residual])
def test_merged_adapters_compute_what_they_did_while_they_were_apart(
    make: Callable[[], Any],
) -> None:
    model = make()
    low = adapters(model, 1, seed=0)
    generator = np.random.default_rng(1)
    for variable in low.variables:
        variable.assign(generator.normal(0, 0.3, variable.shape).astype(np.float32))
    x = inputs_of(model, 20)
    before, plain = model.get_weights(), np.asarray(model(x, training=True))
    model.set_weights(before)  # what normalizations track
    apart = np.asarray(forward_with(model, low.made)(x))
    model.set_weights(before)
    settle(low.made)
    merged = np.asarray(model(x, training=True))
    np.testing.assert_array_equal(merged, apart)  # the very same sum is computed with
    assert np.abs(merged - plain).max() > 1e-3


def test_adapters_leave_all_else_alone_and_have_their_rank() -> None:
    model = networks.convolutions()
    before = {weight.path: np.asarray(weight) for weight in model.weights}
    data = data_for(model, 4)
    finetune(model, data, FineTune(epochs=3, learning_rate=0.01, lora_rank=2), seed=0)
    changed = {}
    for weight in model.weights:
        off = np.asarray(weight) - before[weight.path]
        if np.any(off):
            changed[weight.path] = off
    # running statistics run on; depthwise kernels, biases, scales and "b" (12 x 5) stay
    kernels = {path for path in changed if path.endswith("kernel")}
    assert {path.split("/")[-2] for path in kernels} == {"a", "b", "c", "end"}
    assert {path.split("/")[-1] for path in changed if path not in kernels} == {
        "moving_mean", "moving_variance",
    }  # fmt: skip
    for path in kernels:
        matrix = changed[path].reshape(-1, changed[path].shape[-1])
        assert np.linalg.matrix_rank(matrix, tol=1e-5) == 2


def test_adapters_are_trained_in_sixteen_bits_too() -> None:
    model = networks.lenet_300()
    before = np.asarray(model.get_layer("first").kernel)
    data = data_for(model, 3)
    finetune(model, data, FineTune(epochs=2, lora_rank=1, precision="float16"), seed=0)
    off = np.asarray(model.get_layer("first").kernel) - before
    assert np.abs(off).max() > 0.0 and np.isfinite(off).all()
    assert np.linalg.matrix_rank(off, tol=1e-5) == 1


def test_adapters_are_refused_where_they_cannot_be() -> None:
    model = networks.lenet_300()
    with pytest.raises(ConfigError, match="no kernel of the network is larger"):
        adapters(model, 8, seed=0)
    step = prune_magnitude.Config(sparsity=0.5, finetune=FineTune(epochs=1, lora_rank=1))
    with pytest.raises(ConfigError, match="fill the zeros"):
        prune_magnitude.run(model, step, Context(data_for(model, 3), silent))
