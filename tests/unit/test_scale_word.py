"""A multiplier that holds its shift gives the outputs of the one that it replaces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.ops.shared.fixed_point import quantize_multiplier, requantize
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.ops.shared.scale_word import Reach, reach, scale_words


def multipliers(reals: list[float]) -> ChannelMultipliers:
    parts = [quantize_multiplier(real) for real in reals]
    return ChannelMultipliers(
        np.array([p.value for p in parts], np.int32), np.array([p.shift for p in parts], np.int8)
    )


def span(low: list[int], high: list[int]) -> Reach:
    return Reach(np.array(low, np.int64), np.array(high, np.int64))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(2.0**-14, 0.49), min_size=1, max_size=3),
    st.integers(0, 40_000),
    st.integers(-128, 127),
)
def test_every_reachable_accumulator_keeps_its_output(
    reals: list[float], most: int, zero_point: int
) -> None:
    given_, n = multipliers(reals), len(reals)
    found = scale_words(given_, span([-most] * n, [most] * n), zero_point, (-128, 127))
    if found is None:
        return  # what a lowering does then is tested with the kernels
    acc = np.arange(-most, most + 1)[:, None]
    shift = -1 - ((found.words & found.mask).astype(np.int64) + found.base)
    assert np.array_equal(shift, given_.shift)
    before = requantize(acc, given_.value, given_.shift) + zero_point
    after = requantize(acc, found.words.astype(np.int64), shift) + zero_point
    assert np.array_equal(np.clip(before, -128, 127), np.clip(after, -128, 127))


def test_usual_layers_have_words() -> None:
    rng = np.random.default_rng(1)
    filters = rng.integers(-127, 128, (64, 128)).astype(np.int8)
    found = scale_words(
        multipliers(list(rng.uniform(1e-3, 6e-3, 64))), reach(filters, None, -3), 4, (-128, 127)
    )
    assert found is not None and (found.mask, found.base) == (15, 0)


@pytest.mark.parametrize(
    ("real", "most"), [(1.5, 100), (0.0, 100), (0.3e-6, (1 << 29) - 1)], ids=str
)
def test_refuses_what_it_cannot_prove(real: float, most: int) -> None:
    """Left shifts, a multiplier of 0, and accumulators so large that every bit counts."""
    many = [real * (1 + i / 13) for i in range(40)]
    assert scale_words(multipliers(many), span([-most] * 40, [most] * 40), 0, (-128, 127)) is None


def test_reach_is_what_inputs_can_do() -> None:
    filters = np.array([[3, -2], [0, 0]], np.int8)
    found = reach(filters, np.array([10, -7], np.int32), 5)
    assert found.low.tolist() == [10 + 3 * -133 - 2 * 122, -7]
    assert found.high.tolist() == [10 + 3 * 122 - 2 * -133, -7]
