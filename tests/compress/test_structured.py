"""Channels that hang together are found, and the network without them computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepack.compress.activations import channel_activity
from edgepack.compress.channels import groups, trace
from edgepack.compress.context import Context
from edgepack.compress.cost import cost, model_cost
from edgepack.compress.importance import Criterion, unit_scores
from edgepack.compress.options import FineTune
from edgepack.compress.prune_structured import Config, run
from edgepack.compress.selection import StructuredScope
from edgepack.compress.separate import separate
from edgepack.compress.shrink import mask, shrink
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.progress import silent
from tests.compress import networks

pytestmark = pytest.mark.needs_tf
NETWORKS = [
    networks.lenet_300,
    networks.convolutions,
    networks.residual,
    networks.shared,
    networks.sequences,
    networks.grouped,
]
# Sums of some hundred float32 products in another order: a few units in the last place of values
# around 10.
TOLERANCE = 1e-4


def inputs_of(model: Any, count: int = 3) -> Any:
    generator = np.random.default_rng(5)
    arrays = [
        generator.normal(size=(count, *tensor.shape[1:])).astype(np.float32)
        for tensor in model.inputs
    ]
    return arrays[0] if len(arrays) == 1 else arrays


def names(model: Any) -> dict[str, int]:
    return {group.name: len(group.units) for group in groups(trace(model))}


def test_groups_follow_additions_gates_and_depthwise_layers() -> None:
    assert names(networks.lenet_300()) == {"first": 12, "second": 7}
    assert names(networks.convolutions()) == {"a": 6, "b": 5, "c": 9}
    assert names(networks.residual()) == {
        "stem+outer": 8,
        "inner": 5,
        "wide+gate": 10,
        "side": 4,
        "up+skip": 6,
    }
    # "second" feeds an unknown mixture through "normed" only; "normed" itself is normalized
    assert names(networks.shared()) == {"twin": 8, "second": 6}
    assert names(separate(networks.sequences())) == {
        "line": 6,
        "parted_pointwise": 5,
        "side": 4,
        "hidden": 8,
    }
    # what a grouped convolution reads and makes stays
    assert names(separate(networks.grouped())) == {"parted_pointwise": 7, "up": 6}


def test_separable_convolutions_are_two_layers() -> None:
    for make in (networks.sequences, networks.grouped):
        model = make()
        parted, x = separate(model), inputs_of(model)
        np.testing.assert_allclose(
            np.asarray(parted(x)), np.asarray(model(x)), rtol=1e-5, atol=TOLERANCE
        )
        assert not any("Separable" in type(layer).__name__ for layer in parted.layers)


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_smaller_network_computes_what_the_masked_one_does(
    make: Callable[[], Any], seed: int
) -> None:
    model = separate(make())
    generator = np.random.default_rng(seed)
    found = trace(model)
    gone = [
        unit
        for group in groups(found)
        for unit in generator.permutation(group.units)[: len(group.units) // 2].tolist()
    ]
    small = shrink(model, found, gone)
    expected = cost(found, gone)
    x = inputs_of(model)
    whole = np.asarray(model(x, training=False))
    mask(found, gone)
    masked = np.asarray(model(x, training=False))
    assert np.abs(masked - whole).max() > 100 * TOLERANCE  # the units did matter
    np.testing.assert_allclose(np.asarray(small(x, training=False)), masked, atol=TOLERANCE)
    assert expected == model_cost(small)
    assert model_cost(small).parameters == small.count_params() < model.count_params()


def test_costs_against_counts_by_hand() -> None:
    dense = model_cost(networks.lenet_300())
    assert dense.macs == 20 * 12 + 12 * 7 + 7 * 3
    assert dense.parameters == dense.macs + 12 + 7 + 3
    conv = model_cost(networks.convolutions())
    macs = 6 * 6 * 6 * 9 * 2 + 4 * 4 * 12 * 9 + 2 * 2 * 12 * 5 + 20 * 9 + 9 * 4
    assert conv.macs == macs


def data_for(model: Any, classes: int) -> Dataset:
    x = np.asarray(inputs_of(model, 96))
    labels = np.arange(96) % classes
    return Dataset(Samples((x,), labels), Samples((x,), labels))


@pytest.mark.parametrize(
    ("criterion", "scope"),
    [
        ("l1", "layer"),
        ("geometric_median", "global"),
        ("bn_scale", "global"),
        ("taylor", "sensitivity"),
        ("activation", "benefit"),
        ("apoz", "layer"),
    ],
)
def test_criteria_and_scopes_meet_the_demand(criterion: Criterion, scope: StructuredScope) -> None:
    model = networks.residual()
    before = model_cost(model)
    config = Config(
        ratio=0.2,
        criterion=criterion,
        scope=scope,
        of="macs",
        samples=32,
        finetune=FineTune(epochs=0),
    )
    outcome = run(model, config, Context(data_for(model, 5), silent))
    left = model_cost(outcome.model).macs / before.macs
    # what a single channel of the small network makes, 0.15 at most, may go beyond the demand
    assert 0.6 <= left <= 0.8
    if criterion == "bn_scale":  # only these channels are normalized
        assert names(outcome.model)["wide+gate"] == 10


def test_the_smallest_filters_go_first() -> None:
    model = networks.lenet_300()
    kernel = np.asarray(model.get_layer("first").kernel).copy()
    kernel *= np.where(np.arange(12) % 3 == 0, 0.01, 1.0)
    model.get_layer("first").kernel.assign(kernel)
    config = Config(ratio=0.33, skip=("second",), finetune=FineTune(epochs=0))
    small = run(model, config, Context(None, silent)).model
    stays = np.arange(12) % 3 != 0
    np.testing.assert_array_equal(np.asarray(small.get_layer("first").kernel), kernel[:, stays])


def test_channels_that_are_seldom_active_go_first() -> None:
    import keras

    model = separate(networks.sequences())
    x = inputs_of(model, 40)
    line = model.get_layer("line")
    # the second is strong but seldom on, the fifth always on but weak
    bias = np.array([5, -2, 5, 5, 5, 5], np.float32)
    line.kernel.assign(line.kernel * np.array([1, 30, 1, 1, 0.01, 1], np.float32))
    line.bias.assign(bias * np.array([1, 30, 1, 1, 0.01, 1], np.float32))
    (norm,) = [x for x in model.layers if type(x).__name__ == "BatchNormalization"]
    norm.set_weights([np.ones(6), np.zeros(6), np.zeros(6), np.ones(6)])
    data = Dataset(Samples((x,)), Samples((x,)))
    found = trace(model)
    (group,) = [group for group in groups(found) if group.name == "line"]
    expected_first: dict[Criterion, int] = {"activation": 4, "apoz": 1}
    for kind, first in expected_first.items():
        scores = unit_scores(model, found, kind, data, 40, 0)
        ranked = sorted(range(6), key=lambda i: scores[group.units[i]])
        assert ranked[0] == first, kind
    behind = keras.Model(model.input, norm.output)
    activity = channel_activity(model, data, "activation", 100, 0)["line"]
    expected = np.abs(np.asarray(behind(x))).mean(axis=(0, 1))
    np.testing.assert_allclose(activity, expected, rtol=1e-5)


def test_counts_round_to_a_multiple_and_rounds_reach_the_ratio() -> None:
    model = networks.lenet_300()
    fit = FineTune(epochs=1)
    config = Config(ratio=0.5, multiple=4, rounds=2, skip=("second",), finetune=fit)
    small = run(model, config, Context(data_for(model, 3), silent)).model
    assert names(small) == {"first": 4, "second": 7}


def test_a_multiple_takes_no_more_than_it_must() -> None:
    import keras
    from keras import layers

    sizes = (16, 16, 16)
    hidden = [layers.Dense(size, activation="relu") for size in sizes]
    model = networks.randomize(keras.Sequential([keras.Input((6,)), *hidden, layers.Dense(2)]))
    whole = sum(sizes)
    for ratio in (0.2, 0.3, 0.5, 0.6):
        config = Config(ratio=ratio, multiple=4, finetune=FineTune(epochs=0))
        left = names(run(model, config, Context(None, silent)).model)
        assert all(count % 4 == 0 for count in left.values())
        # equal shares alone come down in all layers at once: by 12 channels
        assert (1 - ratio) * whole - 4 < sum(left.values()) <= (1 - ratio) * whole, ratio


def test_what_cannot_be_is_refused() -> None:
    model = networks.lenet_300()
    with pytest.raises(ConfigError, match="skip = 'frist'"):
        run(model, Config(ratio=0.5, skip=("frist",)), Context(None, silent))
    with pytest.raises(ConfigError, match="no channels"):
        run(model, Config(ratio=0.5, skip=("first", "second")), Context(None, silent))
    with pytest.raises(ConfigError, match="cannot go"):
        run(model, Config(ratio=0.95, layer_limit=0.5), Context(None, silent))
    with pytest.raises(ConfigError, match="bn_scale"):
        run(model, Config(ratio=0.5, criterion="bn_scale"), Context(None, silent))
    with pytest.raises(DataError, match="labels"):
        run(model, Config(ratio=0.5, criterion="taylor"), Context(None, silent))
    with pytest.raises(DataError, match="apoz"):
        run(model, Config(ratio=0.5, criterion="apoz"), Context(None, silent))
    with pytest.raises(DataError, match="no data"):
        run(model, Config(ratio=0.5), Context(None, silent))
