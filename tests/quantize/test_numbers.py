"""Scales, ranges, figures and rounding against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.quantize.evaluate import agreement, auc, score, wilson
from edgepack.quantize.params import (
    INT2_WEIGHTS,
    INT4_WEIGHTS,
    INT8_WEIGHTS,
    QParams,
    activation_params,
    store_weights,
    weight_scales,
)
from edgepack.quantize.ranges import TensorStats, ranges_of
from edgepack.quantize.rounding import _compensated
from edgepack.types import Array, DType

FINITE = st.floats(-1e6, 1e6, width=32)


@given(FINITE, FINITE, st.sampled_from([DType.INT8, DType.UINT8, DType.INT16]))
def test_a_range_is_held_to_half_a_step_and_zero_exactly(a: float, b: float, dtype: DType) -> None:
    low, high = min(a, b), max(a, b)
    params = activation_params(low, high, dtype)
    for value in (low, high):
        got = float(params.real(params.store(np.array([value], np.float64)))[0])
        # half a step, and half a one of the zero point's own rounding
        assert abs(got - value) <= params.scale * 1.001 + 1e-30
    assert params.real(params.store(np.zeros(1)))[0] == 0
    if dtype is DType.INT16:
        assert params.zero_point == 0


def test_weights_are_symmetric_and_per_channel() -> None:
    weights = np.array([[1.0, -0.5], [0.0, 0.0], [1e-3, 2e-3]], np.float32)
    scales = weight_scales(weights, INT8_WEIGHTS, 0)
    np.testing.assert_allclose(scales, [1 / 127, 1 / 127, 2e-3 / 127], rtol=1e-6)
    stored = store_weights(weights, scales, INT8_WEIGHTS, 0)
    np.testing.assert_array_equal(stored, [[127, -64], [0, 0], [64, 127]])
    floor = np.array([1.0, 0.0, 0.0])
    assert weight_scales(weights, INT8_WEIGHTS, 0, floor)[0] == 1.0


def stats_of(values: Array) -> TensorStats:
    low, high = float(values.min()), float(values.max())
    histogram = np.histogram(values, 2048, (low, high))[0]
    return TensorStats(low, high, [low], [high], histogram=histogram)


def test_methods_differ_on_an_outlier() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    values[0] = 100.0
    found = {(0, 0): stats_of(values)}
    assert ranges_of(found, "minmax")[0, 0][1] == pytest.approx(100.0)
    assert 3 < ranges_of(found, "percentile", 99.9)[0, 0][1] < 5
    assert ranges_of(found, "entropy")[0, 0][1] < 40
    high = ranges_of(found, "mse")[0, 0][1]
    assert 4 < high < 100


def test_mse_finds_a_range_no_worse_than_the_extremes() -> None:
    values = np.random.default_rng(1).laplace(size=50_000)
    stats = stats_of(values)

    def error(span: tuple[float, float]) -> float:
        params = activation_params(*span, DType.INT8)
        return float(((params.real(params.store(values)) - values) ** 2).mean())

    best = error(ranges_of({(0, 0): stats}, "mse")[0, 0])
    assert best < error((stats.low, stats.high))


def test_the_moving_average_weighs_samples_by_0_95() -> None:
    stats = TensorStats(-2, 3, [-1.0, -2.0], [3.0, 1.0])
    low, high = ranges_of({(0, 0): stats}, "moving-average")[0, 0]
    assert (low, high) == pytest.approx((-1.05, 2.9))


def test_wilson_interval() -> None:
    # Wilson's formula solved for p: both ends are where |share - p| = z sqrt(p (1 - p) / n)
    for hits, n in ((902, 1000), (0, 10), (10, 10), (1, 3)):
        for end in wilson(hits, n):
            if 1e-9 < end < 1 - 1e-9:
                assert abs(hits / n - end) == pytest.approx(
                    1.959964 * math.sqrt(end * (1 - end) / n), rel=1e-4
                )


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(2)
    scores, classes = rng.integers(0, 9, 60).astype(float), rng.integers(0, 2, 60)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[classes == 1] for b in scores[classes == 0]]
    assert auc(scores, classes) == pytest.approx(np.mean(pairs))


def test_scores_of_a_classifier() -> None:
    outputs = np.eye(6)[[0, 1, 2, 2, 5, 5]] + 0.01 * np.arange(6)
    labels = np.array([0, 1, 2, 3, 4, 5])
    found = score(outputs, labels)
    assert found is not None and found.metric == "top1"
    assert found.value == pytest.approx(4 / 6)
    assert found.details["recall"] == [1, 1, 1, 0, 0, 1]
    assert found.details["confusion"][3][2] == 1 and found.details["confusion"][4][5] == 1
    assert found.details["top5"] == pytest.approx(1.0)
    assert score(outputs, None) is None
    assert score(outputs, np.array([9] * 6)) is None


def test_scores_of_a_regression_and_of_one_value() -> None:
    labels = np.array([[0.0], [4.0]])
    found = score(np.array([[1.0], [4.0]]), labels)
    assert found is not None and found.metric == "mse" and found.value == 0.5
    assert found.details["psnr_db"] == pytest.approx(10 * math.log10(16 / 0.5))
    single = score(np.array([[0.1], [0.9], [0.4]]), np.array([0, 1, 1]))
    assert single is not None and (single.metric, single.value) == ("auc", 1.0)


def test_agreement_counts_what_changed() -> None:
    exact, got = np.array([[1.0, 0], [0, 1], [1, 0]]), np.array([[0.0, 1], [0, 1], [1, 0]])
    found = agreement(exact, got, np.array([1, 1, 1]))
    assert (found.better, found.worse) == (1, 0)
    assert found.same_class == pytest.approx(2 / 3)
    assert agreement(exact, exact, None).sqnr_db is None


def test_adaptive_rounding_lowers_the_error_of_the_output() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 24)) @ rng.normal(size=(24, 24))
    rows = rng.normal(size=(8, 24))
    scales = np.abs(rows).max(axis=1) / 7
    nearest = np.rint(rows / scales[:, None])
    chosen = _compensated(rows, scales, x.T @ x, INT4_WEIGHTS)
    assert np.array_equal(chosen, np.rint(chosen)) and np.abs(chosen).max() <= 7

    def error(stored: Array) -> float:
        return float((((stored * scales[:, None] - rows) @ x.T) ** 2).mean())

    assert error(chosen) < 0.7 * error(nearest)


def test_stored_values_saturate_and_round_halves_away_from_zero() -> None:
    params = QParams(DType.INT8, 1.0, -3)
    got = params.store(np.array([0.5, -0.5, 1.4, 500.0, -500.0]))
    np.testing.assert_array_equal(got, [-2, -4, -2, 127, -128])


def test_few_levels_cut_off_large_weights_where_that_leaves_less_error() -> None:
    weights = np.random.default_rng(4).normal(size=(2, 200)).astype(np.float32)
    weights[0, 0] = 9.0
    scales = weight_scales(weights, INT4_WEIGHTS, 0)
    largest = np.abs(weights).max(axis=1) / 7
    assert scales[0] < 0.8 * largest[0] and scales[1] <= largest[1]

    def error(chosen: Array) -> float:
        stored = store_weights(weights, chosen, INT4_WEIGHTS, 0)
        return float(((stored * chosen[:, None] - weights) ** 2).sum())

    assert error(scales) < 0.9 * error(largest.astype(np.float32))


def test_two_bits_hold_four_values_and_no_zero() -> None:
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(6, 40)).astype(np.float32)
    weights[2] = 0.0
    scales = weight_scales(weights, INT2_WEIGHTS, 0)
    stored = store_weights(weights, scales, INT2_WEIGHTS, 0)
    assert set(np.unique(stored)) == {-3, -1, 1, 3}
    real = stored * scales[:, None]
    assert np.abs(real[2]).max() < 1e-4 * scales.max()
    # the best four evenly spaced levels of a normal distribution leave 0.1188 of its variance
    others = np.delete(np.arange(6), 2)
    left = ((real - weights)[others] ** 2).mean() / (weights[others] ** 2).mean()
    assert 0.08 < left < 0.14


def test_rounding_two_bits_again_changes_nothing() -> None:
    weights = np.random.default_rng(6).normal(size=(4, 30)).astype(np.float32)
    scales = weight_scales(weights, INT2_WEIGHTS, 0)
    real = (store_weights(weights, scales, INT2_WEIGHTS, 0) * scales[:, None]).astype(np.float32)
    again = weight_scales(real, INT2_WEIGHTS, 0)
    assert again == pytest.approx(scales, rel=1e-6)
    assert np.array_equal(
        store_weights(real, again, INT2_WEIGHTS, 0), store_weights(weights, scales, INT2_WEIGHTS, 0)
    )
