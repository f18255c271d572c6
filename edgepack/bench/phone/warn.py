"""What makes a phone's figures unreliable, in words."""

from __future__ import annotations

from collections.abc import Iterator

from edgepack.bench.phone.cores import clusters, in_mask
from edgepack.bench.phone.facts import THERMAL_NAMES, Conditions, PhoneFacts
from edgepack.bench.statistics import Summary

# A governor that follows the load settles within a few per cent; more means it moved meanwhile.
_CLOCK_CHANGE = 0.05
_SPREAD = 1.5  # 95th percentile over median; an undisturbed core stays below 1.1
_FEW_RUNS = 20  # below that a 95th percentile is the largest value
_LOW_BATTERY = 20  # per cent; below it many phones limit their clocks
_HOT_BATTERY = 40.0  # degrees Celsius; phones begin to slow down near it


def warnings(
    facts: PhoneFacts,
    before: Conditions,
    after: Conditions,
    *,
    mask: int | None,
    times: Summary | None,
    moves: int | None = None,
    clocks: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """Reasons to distrust the times.

    Args:
        mask: the cores that were used; None: any.
        times: of the timed inferences, microseconds.
        moves: how often the program changed its core while it was timed, where known.
        clocks: kHz of its core right before and after, where known.
    """
    return (
        *_conditions(before, after),
        *_limits(facts, after, mask),
        *_times(times),
        *_clock(facts, mask, moves, clocks),
    )


def _conditions(before: Conditions, after: Conditions) -> Iterator[str]:
    status = max(before.thermal_status or 0, after.thermal_status or 0)
    if status > 0:
        name = THERMAL_NAMES[min(status, len(THERMAL_NAMES) - 1)]
        yield f"the phone is throttled (thermal status {name}): let it cool, then run again"
    if before.saver or after.saver:
        yield "battery saver is on, which limits the clocks"
    if after.battery_percent is not None and after.battery_percent < _LOW_BATTERY:
        yield f"the battery is at {after.battery_percent} %: many phones limit their clocks then"
    if after.battery_celsius is not None and after.battery_celsius >= _HOT_BATTERY:
        yield f"the battery has {after.battery_celsius:.0f} degrees: throttling is near"


def _limits(facts: PhoneFacts, after: Conditions, mask: int | None) -> Iterator[str]:
    if facts.emulated:
        yield "an emulated phone: its times say nothing and are left out"
    limited = [c for c in in_mask(after.cores, mask) if 0 < c.allowed_khz < c.max_khz]
    if limited:
        core = limited[-1]
        yield (
            f"core {core.number} is limited to {core.allowed_khz / 1000:.0f} of "
            f"{core.max_khz / 1000:.0f} MHz"
        )
    if any(c.governor == "powersave" for c in in_mask(after.cores, mask)):
        yield "the governor is powersave: the cores stay at their lowest clock"


def _times(times: Summary | None) -> Iterator[str]:
    if times is None:
        return
    if times.n < _FEW_RUNS:
        yield f"only {times.n} timed inferences: --min-secs makes it more"
    if times.median > 0 and times.p95 > _SPREAD * times.median:
        yield (
            f"the times spread: one in twenty takes {times.p95 / times.median:.1f} times the "
            "median or more"
        )


def _clock(
    facts: PhoneFacts, mask: int | None, moves: int | None, clocks: tuple[int, int] | None
) -> Iterator[str]:
    if moves and len(clusters(in_mask(facts.cores, mask))) > 1:
        yield f"it moved {moves} times between cores of different speed: --cpus prime pins it"
    if clocks is not None and min(clocks) > 0:
        low, high = sorted(clocks)
        if high - low > _CLOCK_CHANGE * high:
            yield (
                f"the core's clock went from {clocks[0] / 1000:.0f} to {clocks[1] / 1000:.0f} MHz "
                "while it was timed: --warmup-ms makes the warm-up longer"
            )
