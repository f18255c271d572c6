"""What makes figures of a phone unreliable, and which cores run: each with values of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgepack.bench.phone.cores import choose_cores, clusters
from edgepack.bench.phone.facts import Conditions, Core, PhoneFacts
from edgepack.bench.phone.record import Measured, phone_record
from edgepack.bench.phone.warn import warnings
from edgepack.bench.statistics import Summary, summarize
from edgepack.errors import UsageError

# four slow cores, three fast ones, and a fastest
CORES = tuple(
    Core(i, top, top, "schedutil")
    for i, top in enumerate((1_800_000,) * 4 + (2_400_000,) * 3 + (3_000_000,))
)
FACTS = PhoneFacts(
    "S1", "Maker", "Maker Phone 5", "SoC", "14", 34, ("arm64-v8a",), ("asimddp",), CORES, False
)
CALM = Conditions(CORES, 0, 41.0, 81, 28.4, True, False)
TIMES = Summary(n=100, min=90.0, median=100.0, p95=110.0, max=150.0)


def said(**changes: object) -> str:
    given = {"mask": 0x80, "times": TIMES, "moves": 0, "clocks": (3_000_000, 3_000_000)}
    conditions = changes.pop("conditions", CALM)
    facts = changes.pop("facts", FACTS)
    given |= changes
    return " | ".join(warnings(facts, CALM, conditions, **given))  # type: ignore[arg-type]


def test_a_calm_phone_gives_no_warning() -> None:
    assert said() == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"thermal_status": 3}, "thermal status severe"),
        ({"battery_percent": 19}, "battery is at 19 %"),
        ({"battery_celsius": 40.0}, "battery has 40 degrees"),
        ({"saver": True}, "battery saver is on"),
    ],
)
def test_the_state_of_the_phone(changes: dict[str, object], words: str) -> None:
    assert words in said(conditions=replace(CALM, **changes))  # type: ignore[arg-type]


def test_just_within_the_limits_is_no_warning() -> None:
    assert said(conditions=replace(CALM, battery_percent=20, battery_celsius=39.9)) == ""


def test_the_clock_and_the_governor() -> None:
    limited = tuple(replace(c, allowed_khz=1_500_000) for c in CORES)
    assert "core 7 is limited to 1500 of 3000 MHz" in said(conditions=replace(CALM, cores=limited))
    # a limit of cores that do not run it says nothing
    others = (*limited[:7], CORES[7])
    assert said(conditions=replace(CALM, cores=others)) == ""
    slow = tuple(replace(c, governor="powersave") for c in CORES)
    assert "the governor is powersave" in said(conditions=replace(CALM, cores=slow))
    assert "went from 3000 to 2000 MHz" in said(clocks=(3_000_000, 2_000_000))
    assert said(clocks=(3_000_000, 2_900_000)) == ""  # governors settle within some per cent


def test_moves_between_cores_of_different_speed() -> None:
    assert "it moved 4 times" in said(mask=0xF0, moves=4)
    assert said(mask=0x70, moves=4) == ""  # cores of one speed


def test_times_that_say_little() -> None:
    assert "only 12 timed inferences" in said(times=replace(TIMES, n=12))
    assert "one in twenty takes 1.6 times" in said(times=replace(TIMES, p95=160.0))
    assert "an emulated phone" in said(facts=replace(FACTS, emulated=True), times=None)


def test_the_warm_up_is_no_part_of_the_statistics() -> None:
    times = summarize([100.0 + i for i in range(100)])
    measured = Measured("edgepack", "dotprod", (), 1, 0x80, times, 37, 4096)
    record = phone_record(FACTS, CALM, CALM, measured)
    assert record.warmup_runs == 37 and record.latency_us is not None
    assert (record.latency_us.n, record.latency_us.min, record.latency_us.max) == (100, 100, 199)
    assert record.latency_us.median == 149.5 and record.name == "Maker Phone 5"
    assert record.cpu_mask == "80" and record.governor == "schedutil"
    emulated = phone_record(replace(FACTS, emulated=True), CALM, CALM, measured)
    assert emulated.latency_us is None and emulated.average_us is None


@pytest.mark.parametrize(
    ("wanted", "threads", "mask"),
    [
        ("auto", 1, 0x80),  # the fastest core
        ("auto", 2, 0xF0),  # it has no room for two threads: all but the slowest
        ("prime", 4, 0x80),
        ("big", 1, 0xF0),
        ("little", 1, 0x0F),
        ("all", 1, None),
        ("3c", 1, 0x3C),
    ],
)
def test_which_cores_run_it(wanted: str, threads: int, mask: int | None) -> None:
    assert [len(group) for group in clusters(CORES)] == [4, 3, 1]
    assert choose_cores(wanted, CORES, threads) == mask


@pytest.mark.parametrize("wanted", ["0", "fast", "100", "-1"])
def test_cores_that_the_phone_lacks(wanted: str) -> None:
    with pytest.raises(UsageError, match="names no cores"):
        choose_cores(wanted, CORES, 1)
