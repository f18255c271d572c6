"""What benchmark_model prints, release by release: the forms are real, the figures made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.bench.phone.tflite_text import (
    Op,
    read_flags,
    read_profile,
    read_tflite_report,
)
from edgepack.errors import ProtocolError

RECORDED = Path(__file__).parent / "recorded"


def text(name: str) -> str:
    return (RECORDED / name).read_text("utf-8")


# release, init, first, average, timed count, min, max, deviation, median, p95, overall memory
_ONE = (1029750, 1029750)
_LITERT = (1709260, 2025400)
RELEASES = [
    ("tf-1.14.txt", 3125, None, 23980.2, 42, 23799, 24402, 120, None, None, None),
    ("tf-2.2.txt", 412, None, 618.75, 1588, 601, 911, 17, None, None, None),
    ("tf-2.3.txt", 875, 48060, 42009.5, 50, 41641, 43005, 250, None, None, 11.5),
    ("tf-2.11-one-run.txt", 88250, 1041765, 1029750, 1, *_ONE[:2], None, *_ONE, 109.75),
    ("tf-2.17-gpu.txt", 712500, 16105, 15942.5, 63, 15805, 17356, 190, 15901, 16169, 40.75),
    ("litert-logcat.txt", 158880, 1732150, 1719850, 10, 1640860, 2025400, 95100, *_LITERT, 337),
]


@pytest.mark.parametrize("case", RELEASES, ids=lambda case: str(case[0]))
def test_every_release_is_read(case: tuple[object, ...]) -> None:
    name, *expected = case
    report = read_tflite_report(text(str(name)))
    timed = report.timed
    assert timed is not None
    assert [
        *(report.init, report.first, report.average, timed.count, timed.min, timed.max),
        *(timed.deviation, timed.median, timed.p95, report.memory_overall_mb),
    ] == expected


def test_the_warm_up_is_kept_apart() -> None:
    report = read_tflite_report(text("tf-2.3.txt"))
    assert report.warmup is not None and report.timed is not None
    assert (report.warmup.count, report.timed.count) == (13, 50)


def test_statistics_of_a_profile_are_not_those_of_the_run() -> None:
    # "Timings (microseconds): count=1588 ... avg=600.5" belongs to the profiler
    timed = read_tflite_report(text("tf-2.2.txt")).timed
    assert timed is not None and timed.average == 618.75


def test_the_peak_memory_where_it_was_asked_for() -> None:
    assert read_tflite_report(text("tf-2.11-one-run.txt")).memory_peak_mb == 118.25


def test_delegates_and_how_much_they_run() -> None:
    assert "GPU (partially)" in read_tflite_report(text("tf-2.17-gpu.txt")).delegates
    assert "XNNPACK (completely)" in read_tflite_report(text("litert-logcat.txt")).delegates
    assert read_tflite_report(text("tf-2.11-one-run.txt")).delegates == ("XNNPACK",)


def test_profiles_in_columns() -> None:
    assert read_profile(text("tf-2.2.txt")) == (
        Op("CONV_2D", "net/conv1/Relu, with a comma", 0.401, 1),
        Op("CONV_2D", "net/conv2/Relu", 0.150, 1),
        Op("SOFTMAX", "Identity", 0.049, 1),
    )
    ops = read_profile(text("tf-2.3.txt"))
    assert [op.kind for op in ops] == ["CONV_2D", "RESHAPE"]  # and not AllocateTensors


def test_profiles_in_csv_with_and_without_the_start() -> None:
    old, new = read_profile(text("profile-tf-2.3.csv")), read_profile(text("profile-tf-2.16.csv"))
    assert [(op.kind, op.name, op.average_ms) for op in old] == [
        ("CONV_2D", "net/conv, fused", 0.2030388),
        ("SOFTMAX", "net/softmax", 0.0500884),
    ]
    assert [(op.kind, op.average_ms) for op in new] == [
        ("TfLiteXNNPackDelegate", 0.301),
        ("SOFTMAX", 0.0125),
    ]


def test_a_row_of_another_form_is_refused() -> None:
    damaged = text("profile-tf-2.16.csv").replace("0.0125", "soon")
    with pytest.raises(ProtocolError, match="another form"):
        read_profile(damaged)


def test_a_run_that_failed_says_what_was_printed() -> None:
    with pytest.raises(ProtocolError, match="Didn't find op for builtin opcode"):
        read_tflite_report(text("truncated.txt"))
    with pytest.raises(ProtocolError, match="it printed nothing"):
        read_tflite_report("")


@pytest.mark.parametrize("case", RELEASES, ids=lambda case: str(case[0]))
def test_output_cut_before_its_timings_is_never_a_result(case: tuple[object, ...]) -> None:
    whole = text(str(case[0]))
    end = whole.rindex("timings in us:")
    for cut in range(0, end, 97):
        with pytest.raises(ProtocolError):
            read_tflite_report(whole[:cut])


def test_flags_differ_between_releases() -> None:
    old, new = read_flags(text("help-tf-1.14.txt")), read_flags(text("help-tf-2.16.txt"))
    assert "graph" in old & new
    assert "use_xnnpack" in new - old and "use_nnapi" in old - new
