"""Schedules and masks: the parts of pruning that are plain arithmetic."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgepack.compress.apply import STEPS
from edgepack.compress.masks import Scope, magnitude_masks
from edgepack.compress.methods import METHODS
from edgepack.compress.prune_magnitude import NAME, Config
from edgepack.compress.schedule import Schedule
from edgepack.compress.weights import prunable
from edgepack.errors import ConfigError
from edgepack.types import Array


def ones(weights: list[Array]) -> list[Array]:
    return [np.ones(weight.shape, dtype=np.bool_) for weight in weights]


def test_polynomial_schedule_against_values_by_hand() -> None:
    schedule = Schedule("polynomial", 0.5, 0.9, begin=100, end=300, every=10)
    assert schedule.sparsity(99) == 0.0
    assert schedule.sparsity(100) == 0.5
    # half way: 0.9 - 0.4 * (1/2)^3
    assert schedule.sparsity(200) == pytest.approx(0.85, abs=1e-15)
    assert schedule.sparsity(300) == schedule.sparsity(10_000) == 0.9


@given(
    initial=st.floats(0, 0.5), gain=st.floats(0, 0.49), begin=st.integers(0, 50),
    length=st.integers(1, 200), every=st.integers(1, 60),
)  # fmt: skip
def test_a_schedule_never_falls_and_ends_on_time(
    initial: float, gain: float, begin: int, length: int, every: int
) -> None:
    schedule = Schedule("polynomial", initial, initial + gain, begin, begin + length, every)
    values = [schedule.sparsity(step) for step in range(begin + length + 3)]
    # 1 ulp of slack: initial and final may be one number, whose sum with -0 * x^3 rounds
    assert all(b >= a - 1e-15 for a, b in itertools.pairwise(values))
    assert schedule.is_due(begin) and schedule.is_due(begin + length)
    assert not schedule.is_due(begin - 1) and not schedule.is_due(begin + length + 1)
    assert values[-1] == initial + gain


def test_constant_schedule_is_due_once() -> None:
    schedule = Schedule("constant", 0.0, 0.7, begin=4, end=10, every=2)
    assert [step for step in range(20) if schedule.is_due(step)] == [4]
    assert schedule.sparsity(3) == 0.0
    assert schedule.sparsity(4) == 0.7


def test_masks_keep_the_largest() -> None:
    weights = [np.array([[0.1, -5.0], [3.0, -0.2]]), np.array([10.0, 20.0, -30.0, 0.0])]
    layer = magnitude_masks(weights, ones(weights), 0.5, "layer")
    assert [mask.tolist() for mask in layer] == [
        [[False, True], [True, False]],
        [False, True, True, False],
    ]
    together = magnitude_masks(weights, ones(weights), 0.5, "global")
    assert [mask.tolist() for mask in together] == [
        [[False, True], [False, False]],
        [True, True, True, False],
    ]


def test_a_global_mask_leaves_no_layer_empty() -> None:
    weights = [np.full(100, 1e-3), np.arange(1.0, 101.0)]
    kept = magnitude_masks(weights, ones(weights), 0.5, "global", layer_limit=0.9)
    assert [int(mask.sum()) for mask in kept] == [10, 90]


def test_equal_magnitudes_are_dropped_from_the_front() -> None:
    weights = [np.array([1.0, -1.0, 1.0, -1.0])]
    assert magnitude_masks(weights, ones(weights), 0.5, "layer")[0].tolist() == [
        False,
        False,
        True,
        True,
    ]


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000), first=st.floats(0, 1), second=st.floats(0, 1),
    scope=st.sampled_from(["layer", "global"]),
)  # fmt: skip
def test_masks_hold_the_exact_count_and_only_shrink(
    seed: int, first: float, second: float, scope: Scope
) -> None:
    first, second = sorted((first, second))
    generator = np.random.default_rng(seed)
    weights = [generator.normal(size=size) for size in ((3, 3, 4), (17,), (5, 2))]
    before = magnitude_masks(weights, ones(weights), first, scope)
    # what training leaves of a pruned weight is zero, whatever happens to the others
    moved = [generator.normal(size=mask.shape) * mask for mask in before]
    after = magnitude_masks(moved, before, second, scope)
    for old, new in zip(before, after, strict=True):
        assert not (new & ~old).any()
    if scope == "layer":
        wanted = [math.floor(second * mask.size + 0.5) for mask in after]
        assert [int((~mask).sum()) for mask in after] == wanted
    else:
        size = sum(mask.size for mask in after)
        dropped = sum(int((~mask).sum()) for mask in after)
        assert dropped == math.floor(second * size + 0.5)


@pytest.mark.parametrize(
    "values",
    [
        {"sparsity": 1.0},
        {"sparsity": 0.0},
        {},
        {"sparsity": 0.5, "end": 0.2, "begin": 0.3},
        {"sparsity": 0.5, "initial_sparsity": 0.6},
        {"sparsity": 0.99, "scope": "global"},
        {"sparsity": 0.5, "sparseness": 0.5},
        {"sparsity": 0.5, "finetune": {"epochs": 0}},
        {"sparsity": 0.5, "method": "prune_by_taste"},
    ],
)
def test_configurations_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        STEPS.validate_python([{"method": "prune_magnitude", **values}])


def test_a_step_survives_the_way_to_the_child() -> None:
    steps = (Config(sparsity=0.8, skip=("a*",)),)
    assert STEPS.validate_python(STEPS.dump_python(steps, mode="json")) == steps
    fields = {
        name: method.config.__dataclass_fields__["method"] for name, method in METHODS.items()
    }
    assert all(name == field.default for name, field in fields.items())


def named(*paths: str) -> SimpleNamespace:
    """As much of a Keras model as the choice of weights looks at."""
    return SimpleNamespace(
        trainable_weights=[
            SimpleNamespace(path=path, name=path.rsplit("/", 1)[1], shape=(3, 4)) for path in paths
        ]
    )


def test_skip_fits_weight_paths_with_and_without_the_models_name() -> None:
    model = named("net/conv/kernel", "conv/kernel", "depthwise_2/kernel", "my_conv/kernel")
    assert [weight.path for weight in prunable(model, ("conv/*", "*depthwise*"), NAME)] == [
        "my_conv/kernel"
    ]


def test_biases_and_norms_are_never_pruned() -> None:
    model = named("dense/bias", "norm/gamma", "rnn/recurrent_kernel", "table/embeddings")
    assert [weight.name for weight in prunable(model, (), NAME)] == [
        "recurrent_kernel",
        "embeddings",
    ]
    with pytest.raises(ConfigError, match="no weights to prune"):
        prunable(named("norm/gamma"), (), NAME)


def test_a_skip_pattern_that_fits_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"skip = 'frist/\*' matches no weights") as caught:
        prunable(named("first/kernel"), ("frist/*",), NAME)
    assert caught.value.allowed == "first/kernel"
