"""What run.json says about a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgepack.bench.phone.cores import in_mask
from edgepack.bench.phone.facts import Conditions, PhoneFacts
from edgepack.bench.phone.warn import warnings
from edgepack.bench.statistics import Summary
from edgepack.report import schema


@dataclass(frozen=True)
class Measured:
    """What a program on a phone measured; times in microseconds, None is what it does not tell.

    moves: how often it changed its core. clocks: kHz of its core before and after, 0 for unknown.
    average, deviation: where no single times are known.
    """

    program: Literal["edgepack", "benchmark_model"]
    variant: str
    flags: tuple[str, ...]
    threads: int
    mask: int | None
    times: Summary | None
    warmup_runs: int
    peak_memory_kb: int | None
    moves: int | None = None
    clocks: tuple[int, int] | None = None
    average: float | None = None
    deviation: float | None = None
    init: float | None = None
    first: float | None = None
    notes: tuple[str, ...] = ()
    ops: tuple[schema.PhoneOp, ...] = ()


def phone_record(
    facts: PhoneFacts, before: Conditions, after: Conditions, m: Measured
) -> schema.Phone:
    """The record; an emulated phone's times are left out."""
    real = not facts.emulated
    times = m.times if real else None
    governors = sorted({c.governor for c in in_mask(after.cores, m.mask) if c.governor})
    said = warnings(facts, before, after, mask=m.mask, times=times, moves=m.moves, clocks=m.clocks)
    return schema.Phone(
        serial=facts.serial,
        name=facts.name,
        soc=facts.soc,
        android=facts.android,
        abi=facts.abis[0],
        emulated=facts.emulated,
        program=m.program,
        variant=m.variant,
        flags=m.flags,
        threads=m.threads,
        cpu_mask=None if m.mask is None else f"{m.mask:x}",
        governor=", ".join(governors) or None,
        latency_us=None
        if times is None
        else schema.HostDistribution(
            n=times.n, min=times.min, median=times.median, p95=times.p95, max=times.max
        ),
        average_us=m.average if real else None,
        deviation_us=m.deviation if real else None,
        init_us=m.init if real else None,
        first_us=m.first if real else None,
        warmup_runs=m.warmup_runs,
        peak_memory_kb=m.peak_memory_kb,
        before=_state(before, m.clocks[0] if m.clocks else 0),
        after=_state(after, m.clocks[1] if m.clocks else 0),
        warnings=(*m.notes, *said),
        ops=m.ops if real else (),
    )


def _state(c: Conditions, clock: int) -> schema.PhoneState:
    return schema.PhoneState(
        thermal_status=c.thermal_status,
        cpu_celsius=c.cpu_celsius,
        battery_percent=c.battery_percent,
        battery_celsius=c.battery_celsius,
        charging=c.charging,
        battery_saver=c.saver,
        clock_khz=clock or None,
    )
