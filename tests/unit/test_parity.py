from __future__ import annotations

import numpy as np
import pytest

from edgepack.bench.accuracy import top1
from edgepack.bench.parity import FLOAT_TOLERANCE, Mismatch, compare_outputs
from edgepack.bench.statistics import summarize
from edgepack.errors import DataError
from edgepack.types import Array


def test_equal_outputs_pass() -> None:
    outputs = [np.arange(24, dtype=np.int16).reshape(2, 3, 4)]
    parity = compare_outputs(outputs, outputs)
    assert (parity.samples, parity.bytes, parity.mismatched_bytes) == (2, 48, 0)
    assert parity.max_abs_diff == 0 and parity.passed


def test_the_first_difference_is_the_first_sample_of_any_output() -> None:
    want: list[Array] = [np.zeros((4, 2, 2), np.int8), np.zeros((4, 3), np.int16)]
    got = [w.copy() for w in want]
    got[0][2, 1, 0] = -128
    got[1][1, 2] = 0x0101  # both bytes differ
    parity = compare_outputs(got, want, numbers=[10, 11, 12, 13])
    assert parity.mismatched_bytes == 3
    assert parity.max_abs_diff == 257
    assert parity.first_mismatch == Mismatch(11, 1, 2, 257, 0)
    assert not parity.passed


def test_int8_extremes_do_not_wrap() -> None:
    got, want = np.array([[127]], np.int8), np.array([[-128]], np.int8)
    assert compare_outputs([got], [want]).max_abs_diff == 255


def test_int64_differences_never_round_to_equal() -> None:
    got, want = np.array([[2**60 + 1]]), np.array([[2**60]])
    parity = compare_outputs([got], [want])
    assert parity.max_abs_diff >= 1 and not parity.passed


def test_floats_may_differ_by_the_tolerance_and_no_more() -> None:
    want = np.array([[100.0, 0.0]], np.float32)
    near = want + np.array([[0.9 * FLOAT_TOLERANCE * 101, 0.9 * FLOAT_TOLERANCE]], np.float32)
    parity = compare_outputs([near], [want])
    assert parity.passed and parity.mismatched_bytes > 0
    far = want + np.array([[0, 1.5 * FLOAT_TOLERANCE]], np.float32)
    first = compare_outputs([far], [want]).first_mismatch
    assert first is not None and first.index == 1


def test_nan_equals_only_nan() -> None:
    nan = np.array([[np.nan, np.inf]], np.float32)
    assert compare_outputs([nan], [nan]).passed
    one = np.array([[1.0, np.inf]], np.float32)
    for got, want in ((nan, one), (one, nan)):
        parity = compare_outputs([got], [want])
        assert not parity.passed and parity.max_abs_diff == np.inf


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="output 0"):
        compare_outputs([np.zeros((1, 2), np.int8)], [np.zeros((1, 3), np.int8)])


def test_top1_counts_the_highest_score() -> None:
    scores = np.array([[1, 3, 2], [5, 5, 1], [-1, -3, -2], [0, 1, 9]], np.int8)
    assert top1(scores.reshape(4, 1, 3), np.array([1, 0, 2, 2])) == 0.75
    with pytest.raises(DataError, match="labels go from 0 to 3"):
        top1(scores, np.array([0, 1, 2, 3]))
    with pytest.raises(DataError, match="has 1 element"):
        top1(np.zeros((4, 1), np.int8), np.array([0, 0, 0, 0]))


def test_summaries_follow_their_definition() -> None:
    summary = summarize([4.0, 1.0, 3.0, 2.0])
    assert summary is not None
    assert (summary.n, summary.min, summary.median, summary.max) == (4, 1.0, 2.5, 4.0)
    assert summary.p95 == pytest.approx(3.85)  # rank 0.95 * 3 = 2.85 between 3 and 4
    assert summarize([]) is None
