"""What benchmark_model printed, release by release (recorded/README.md says where and when)."""

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


# average of the timed runs, their number, min, max, deviation, median, p95; memory in MB
TABLE = """
file                      init  first   average  runs     min     max    std  median     p95  memory
tf-1.12.txt               4452      -    137722    50  137079  143416    896       -       -       -
android-2019.txt          9933      -   66767.6    15   66699   66838     39       -       -       -
tf-2.4.0-android.txt     16242 360262    249684    50  247067  254474   1442       -       - 138.809
tf-2.8.0-riscv.txt       17187 3512391  2950340    50 2727568 3189954 109798       -       - 46.0859
tf-2.18.0-xnnpack.txt   614333 905463    899641    50  898007  906121   1549  899281  904305 150.141
android-gpu-nnapi.txt  5664363 328140    309350    50  305938  333030   4411  307968  315711  375.48
android-logcat.txt       92318 187533    145528    25  140071  195121  13583  141253  187533 73.4102
chromeos-peak-memory.txt  3337  81913   56265.8  1061   54669   60236    982       -       -       -
"""
RELEASES = [line.split() for line in TABLE.strip().splitlines()[1:]]


@pytest.mark.parametrize("case", RELEASES, ids=lambda case: case[0])
def test_every_release_is_read(case: list[str]) -> None:
    name, *cells = case
    expected = [None if cell == "-" else float(cell) for cell in cells]
    report = read_tflite_report(text(name))
    timed = report.timed
    assert timed is not None
    assert [
        *(report.init, report.first, report.average, timed.count, timed.min, timed.max),
        *(timed.deviation, timed.median, timed.p95, report.memory_overall_mb),
    ] == expected


def test_a_release_that_states_an_average_alone() -> None:
    report = read_tflite_report(text("tf-2.2.txt"))
    assert (report.init, report.average, report.timed) == (38467, 79760.9, None)


@pytest.mark.parametrize(
    ("name", "warmup", "timed"),
    [
        ("tf-1.12.txt", 1, 50),
        ("android-2019.txt", 7, 15),
        ("tf-2.8.0-riscv.txt", 1, 50),
        ("android-logcat.txt", 3, 25),
        ("chromeos-peak-memory.txt", 9, 1061),
    ],
)
def test_the_warm_up_is_kept_apart(name: str, warmup: int, timed: int) -> None:
    report = read_tflite_report(text(name))
    assert report.warmup is not None and report.timed is not None
    assert (report.warmup.count, report.timed.count) == (warmup, timed)


def test_statistics_of_a_profile_are_not_those_of_the_run() -> None:
    # "Timings (microseconds): count=50 ... avg=2.9499e+06" belongs to the profiler
    timed = read_tflite_report(text("tf-2.8.0-riscv.txt")).timed
    assert timed is not None and timed.average == 2.95034e6


def test_the_peak_memory_where_it_was_asked_for() -> None:
    assert read_tflite_report(text("chromeos-peak-memory.txt")).memory_peak_mb == 93.2383


def test_delegates_and_how_much_they_run() -> None:
    def delegates(name: str) -> tuple[str, ...]:
        return read_tflite_report(text(name)).delegates

    assert delegates("tf-2.18.0-xnnpack.txt") == ("XNNPACK (partially)",)
    assert delegates("android-logcat.txt") == ("XNNPACK (539 of 548 nodes)",)
    assert delegates("chromeos-peak-memory.txt") == ("XNNPACK (58 of 58 nodes)",)
    # NNAPI was created and applied, and runs nothing: no figure is NNAPI's
    assert delegates("android-gpu-nnapi.txt") == ("GPU (49 of 49 nodes, completely)",)
    assert delegates("tf-1.12.txt") == ()


def test_profiles_in_columns() -> None:
    ops = read_profile(text("tf-2.4.0-android-profile.txt"))
    assert len(ops) == 11  # as the tool says itself, without those of the initialization
    assert ops[6] == Op(
        "TfLiteNnapiDelegate",
        "model/tf.nn.silu_16/mul, model/tf.nn.silu_26/mul, model/tf.nn.silu_35/mul",
        79.01,
        1,
    )
    # the tool's own sum: 158.715 ms on average
    assert sum(op.average_ms for op in ops) == pytest.approx(158.715, abs=0.01)
    kinds = [op.kind for op in read_profile(text("tf-2.8.0-riscv.txt"))]
    assert kinds[:2] == ["CONV_2D", "DEPTHWISE_CONV_2D"] and "AllocateTensors" not in kinds


def test_profiles_in_csv_with_and_without_the_start() -> None:
    old = read_profile(text("profile-2022.csv"))
    assert len(old) == 12
    assert old[0] == Op("CONV_2D", "sequential_11/conv2d_33/Conv2D", 0.0930388, 1)
    # since TensorFlow 2.16 the header lacks `start` (tensorflow/core/util/stats_calculator.cc)
    rows = text("profile-2022.csv").splitlines()
    cut = [",".join(r.split(",")[:1] + r.split(",")[2:]) if ", " in r else r for r in rows]
    assert cut[2] == "node type, first, avg_ms, %, cdf%, mem KB, times called, name"
    assert read_profile("\n".join(cut)) == old


def test_a_row_of_another_form_is_refused() -> None:
    damaged = text("profile-2022.csv").replace("0.0300884", "soon")
    with pytest.raises(ProtocolError, match="another form"):
        read_profile(damaged)


def test_a_run_that_failed_says_what_was_printed() -> None:
    with pytest.raises(ProtocolError, match="NN API returned error ANEURALNETWORKS_OP_FAILED"):
        read_tflite_report(text("tf-2.4.0-android-failed.txt"))
    with pytest.raises(ProtocolError, match="it printed nothing"):
        read_tflite_report("")


@pytest.mark.parametrize("case", RELEASES, ids=lambda case: case[0])
def test_output_cut_before_its_timings_is_never_a_result(case: list[str]) -> None:
    whole = text(case[0])
    end = whole.rindex("timings in us:")
    for cut in range(0, end, 97):
        with pytest.raises(ProtocolError):
            read_tflite_report(whole[:cut])


def test_flags_differ_between_releases() -> None:
    old, new = read_flags(text("help-tf-1.14.txt")), read_flags(text("help-tf-2.16.txt"))
    assert "graph" in old & new
    assert "use_xnnpack" in new - old and "use_nnapi" in old - new
