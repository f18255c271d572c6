"""Optimal Brain Damage and Surgeon against brute force, where the loss is exactly quadratic."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.compress import prune_obd, prune_obs
from edgepack.compress.context import Context
from edgepack.compress.curvature import diagonal
from edgepack.compress.layer_inputs import as_matrix, columns, matrix_layers, moments
from edgepack.compress.options import FineTune
from edgepack.compress.prune_obs import compensate, damped, saliencies
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.progress import silent
from edgepack.types import Array
from tests.compress import networks
from tests.compress.test_saves import Stopped, trained
from tests.compress.test_structured import data_for

NO_TRAINING = FineTune(epochs=0)


def problem(seed: int = 0, inputs: int = 5, filters: int = 2) -> tuple[Array, Array, Array]:
    """Correlated inputs [samples, inputs + 1], weights [inputs + 1, filters], their curvature."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, inputs)) @ generator.normal(size=(inputs, inputs)) + 0.5
    rows = np.concatenate([x, np.ones((40, 1))], axis=1)
    return rows, generator.normal(size=(inputs + 1, filters)), rows.T @ rows / 40


def least_error(rows: Array, weights: Array, stay: list[int]) -> tuple[float, Array]:
    """Half the mean squared error of the best weights with this support, by least squares."""
    wanted = rows @ weights
    found = np.linalg.lstsq(rows[:, stay], wanted, rcond=None)[0]
    whole = np.zeros(weights.shape)
    whole[stay] = found
    return float(0.5 * ((rows @ whole - wanted) ** 2).mean()), whole


def test_saliencies_and_compensation_are_what_brute_force_finds() -> None:
    rows, weights, curve = problem()
    kept = np.ones((5, 2), np.bool_)
    kept[1, 0] = False
    weights[1, 0] = 0.0
    costs = saliencies(weights, kept, curve)
    assert costs[1, 0] == 0.0
    for q, f in itertools.product(range(5), range(2)):
        if not kept[q, f]:
            continue
        stay = [i for i in range(6) if i != q and (i == 5 or kept[i, f])]
        error, best = least_error(rows, weights[:, f], stay)
        # two solutions of one small regular system in float64
        assert costs[q, f] == pytest.approx(error, rel=1e-9)
        without = kept.copy()
        without[q, f] = False
        made = compensate(weights, without, curve)
        np.testing.assert_allclose(made[:, f], best, atol=1e-9)
        np.testing.assert_allclose(made[:, 1 - f], weights[:, 1 - f], atol=1e-9)


def test_several_weights_at_once_leave_the_least_error() -> None:
    rows, weights, curve = problem(3, inputs=6, filters=1)
    for gone in itertools.combinations(range(6), 3):
        kept = np.ones((6, 1), np.bool_)
        kept[list(gone)] = False
        _, best = least_error(rows, weights[:, 0], [i for i in range(7) if i not in gone])
        np.testing.assert_allclose(compensate(weights, kept, curve)[:, 0], best, atol=1e-9)


def dense(inputs: int, outputs: int, *, use_bias: bool = True) -> Any:
    import keras
    from keras import layers

    parts = [keras.Input((inputs,)), layers.Dense(outputs, use_bias=use_bias, name="only")]
    return networks.randomize(keras.Sequential(parts))


@pytest.mark.needs_tf
@pytest.mark.parametrize("use_bias", [True, False])
def test_one_weight_at_a_time_is_the_surgeon_of_the_paper(use_bias: bool) -> None:
    model = dense(6, 1, use_bias=use_bias)
    x = np.random.default_rng(0).normal(1.0, 1.0, (50, 6)).astype(np.float32)
    x[:, 3] += x[:, 0]  # what one drops, the other can make up for
    data = Dataset(Samples((x,)), Samples((x,)))
    start = np.asarray(model.get_layer("only").kernel, np.float64)[:, 0]
    # Hassibi and Stork's recursion, written out: the inverse loses a row and a column each time
    rows = np.concatenate([x.astype(np.float64), np.ones((50, 1)) * use_bias], axis=1)
    curve = damped(rows.T @ rows / 50, 1e-6, True)
    if not use_bias:
        curve[-1, -1] = 1.0
    inverse, w = np.linalg.inv(curve), np.append(start, 0.0)
    if use_bias:
        w[-1] = float(np.asarray(model.get_layer("only").bias)[0])
    left = list(range(6))
    for _ in range(4):
        q = min(left, key=lambda i: w[i] ** 2 / inverse[i, i])
        w = w - w[q] / inverse[q, q] * inverse[:, q]
        inverse = inverse - np.outer(inverse[:, q], inverse[q]) / inverse[q, q]
        left.remove(q)
        w[q] = 0.0
        inverse[q, q] = 1.0  # no 0 / 0; it is never asked for again
    config = prune_obs.Config(
        sparsity=4 / 6, stages=20, damping=1e-6, samples=50, finetune=NO_TRAINING
    )
    outcome = prune_obs.run(model, config, Context(data, silent))
    made = np.asarray(outcome.model.get_layer("only").kernel)[:, 0]
    assert sorted(np.flatnonzero(made)) == left
    # float32 sums of 50 products
    np.testing.assert_allclose(made, w[:-1], rtol=1e-3, atol=1e-4)


@pytest.mark.needs_tf
def test_what_a_convolution_multiplies_is_what_it_computes() -> None:
    import keras
    from keras import layers

    image = keras.Input((7, 6, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="same")(image)
    x = layers.Conv2D(5, (2, 1), padding="valid", use_bias=False, name="valid")(x)
    wide = layers.Conv2D(4, 3, dilation_rate=2, padding="same", name="dilated")(image)
    line = layers.Reshape((42, 3))(image)
    line = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, name="causal")(line)
    line = layers.Conv1D(2, 3, strides=2, padding="valid", name="line")(line)
    outputs = [layers.Flatten()(y) for y in (x, wide, line)]
    model = networks.randomize(keras.Model(image, layers.Concatenate()(outputs)))
    uses = matrix_layers(model)
    names = {use.layer.name for use in uses}
    assert names == {"same", "dilated", "causal", "valid", "line"}
    value = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
    for use in uses:
        node = use.nodes[0]
        watched = keras.Model(image, [node.input_tensors[0], node.output_tensors[0]])
        before, after = watched(value)
        rows = columns(use.layer, before)
        matrix = as_matrix(np.asarray(use.layer.kernel))
        bias = np.asarray(use.layer.bias) if use.layer.use_bias else 0.0
        expected = np.asarray(after).reshape(-1, matrix.shape[1])
        np.testing.assert_allclose(rows[:, :-1] @ matrix + bias, expected, atol=1e-5)
    (use,) = [use for use in uses if use.layer.name == "same"]
    moment = moments(model, [use], Samples((value,)))[0]
    rows = columns(use.layer, value)
    np.testing.assert_allclose(moment, rows.T @ rows / len(rows), atol=1e-6)


@pytest.mark.needs_tf
def test_the_diagonal_is_that_of_a_quadratic_loss() -> None:
    """One linear output and squared errors: the second derivatives are 2 E[x^2], whatever y is."""
    model = dense(4, 1)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, 4)).astype(np.float32)
    samples = Samples((x,), generator.normal(size=(20, 1)).astype(np.float32))
    kernel = model.get_layer("only").kernel
    found = diagonal(model, [kernel], samples, "gauss_newton", None, seed=1)[0]
    np.testing.assert_allclose(found[:, 0], 2 * (x**2).mean(axis=0), rtol=1e-5)
    # brute force at the optimum, where the gradient is zero: the rise by one weight's deletion
    rows = np.concatenate([x, np.ones((20, 1))], axis=1)
    assert samples.labels is not None
    best = np.linalg.lstsq(rows, samples.labels, rcond=None)[0]
    model.set_weights([best[:-1].astype(np.float32), best[-1].astype(np.float32)])
    costs = prune_obd.saliency(np.asarray(kernel), found)[:, 0]
    base = ((rows @ best - samples.labels) ** 2).mean()
    for i in range(4):
        without = best.copy()
        without[i] = 0.0
        rise = ((rows @ without - samples.labels) ** 2).mean() - base
        assert costs[i] == pytest.approx(rise, rel=1e-4)  # float32 weights


@pytest.mark.needs_tf
def test_the_diagonal_for_classes_against_its_sum_over_all_labels() -> None:
    model = networks.lenet_300()
    x = np.random.default_rng(0).normal(size=(12, 4, 5)).astype(np.float32)
    probabilities = np.asarray(model(x), np.float64)
    kernel = model.get_layer("last").kernel
    exact = np.zeros(tuple(kernel.shape))
    for i, c in itertools.product(range(12), range(3)):
        one = Samples((x[i : i + 1],), np.array([c]))
        exact += probabilities[i, c] * diagonal(model, [kernel], one, "fisher", None, 0)[0] / 12
    many = Samples((np.repeat(x, 60, axis=0),), np.zeros(720, np.int64))
    drawn = diagonal(model, [kernel], many, "gauss_newton", None, seed=0)[0]
    # 720 draws: a standard deviation of some percent of the larger entries
    np.testing.assert_allclose(drawn, exact, atol=0.2 * exact.max())
    assert np.corrcoef(drawn.ravel(), exact.ravel())[0, 1] > 0.98


@pytest.mark.needs_tf
def test_both_prune_to_the_share_and_are_repeatable() -> None:
    results = []
    for _ in range(2):
        model = networks.convolutions()
        context = Context(data_for(model, 4), silent)
        fit = FineTune(epochs=1, batch_size=16)
        damage = prune_obd.Config(
            sparsity=0.5, samples=8, every=2, finetune=fit, skip=("d/*",), layer_limit=0.9
        )
        outcome = prune_obd.run(model, damage, context)
        elements = sum(layer.elements for layer in outcome.layers)
        assert sum(layer.zeros for layer in outcome.layers) == elements // 2
        surgery = prune_obs.Config(
            sparsity=0.7, samples=64, stages=2, every=3, schedule="polynomial",
            initial_sparsity=0.6, scope="global", finetune=fit, skip=("d/*",),
        )  # fmt: skip
        outcome = prune_obs.run(outcome.model, surgery, context)
        elements = sum(layer.elements for layer in outcome.layers)
        assert sum(layer.zeros for layer in outcome.layers) == round(0.7 * elements)
        results.append([np.asarray(w) for w in outcome.model.weights])
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.needs_tf
@pytest.mark.parametrize("method", [prune_obd, prune_obs], ids=["obd", "obs"])
def test_a_stopped_step_ends_as_if_undisturbed(method: Any, tmp_path: Path) -> None:
    config = method.Config(
        sparsity=0.8, schedule="polynomial", every=3, end=0.9, samples=8,
        finetune=FineTune(epochs=4, batch_size=10),
    )  # fmt: skip
    wanted = trained(config, method.run, None, None)
    with pytest.raises(Stopped):
        trained(config, method.run, tmp_path / "step", 12)
    again = trained(config, method.run, tmp_path / "step", None)
    for first, second in zip(wanted, again, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.needs_tf
def test_the_surgeon_beats_magnitude_on_what_layers_compute() -> None:
    from edgepack.compress import prune_magnitude

    errors = {}
    for name in ("magnitude", "obs"):
        model = networks.convolutions()
        generator = np.random.default_rng(1)
        x = generator.normal(size=(200, 8, 8, 2)).astype(np.float32)
        x += x[:, :, :, :1]  # correlated channels
        data = Dataset(Samples((x,)), Samples((x,)))
        whole = np.asarray(model(x))
        if name == "obs":
            config = prune_obs.Config(sparsity=0.5, finetune=NO_TRAINING, samples=200)
            prune_obs.run(model, config, Context(data, silent))
        else:
            plain = prune_magnitude.Config(
                sparsity=0.5, schedule="constant", skip=("d/*",), finetune=NO_TRAINING
            )
            prune_magnitude.run(model, plain, Context(data, silent))
        errors[name] = float(((np.asarray(model(x)) - whole) ** 2).mean())
    assert errors["obs"] < 0.5 * errors["magnitude"], errors


@pytest.mark.needs_tf
def test_what_cannot_be_is_refused() -> None:
    model = networks.lenet_300()
    with pytest.raises(DataError, match="data"):
        prune_obd.run(model, prune_obd.Config(sparsity=0.5), Context(None, silent))
    context = Context(data_for(model, 3), silent)
    with pytest.raises(ConfigError, match="20 inputs"):
        prune_obs.run(model, prune_obs.Config(sparsity=0.5, largest=19), context)
    config = prune_obd.Config(sparsity=0.5, finetune=FineTune(epochs=1, loss="mean_absolute_error"))
    with pytest.raises(ConfigError, match="mean_absolute_error"):
        prune_obd.run(model, config, context)
