"""From measurements to run.json: pure functions, nothing is run here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from edgepack.bench.accuracy import METRIC, top1
from edgepack.bench.host_reference import HostResult
from edgepack.bench.parity import FLOAT_TOLERANCE, Mismatch, Parity
from edgepack.bench.statistics import Summary, summarize
from edgepack.errors import EdgepackError
from edgepack.manifest import Manifest
from edgepack.report import schema
from edgepack.types import Array

# What the device's counter counts: a real clock, core cycles of real hardware, or instructions that
# an emulator executed (ep_ticks_kind in firmware/port/ep_port.h).
CounterKind = Literal["time", "cycles", "instructions"]


@dataclass(frozen=True)
class Counter:
    """The device's counter and its ticks per second (of virtual time for instructions)."""

    kind: CounterKind
    hz: int


@dataclass(frozen=True)
class DeviceFacts:
    """What a session learnt beside the outputs; None is what the device did not report.

    stack_peak, arena_peak: bytes. layer_ticks: per layer, in execution order, the ticks of one
    inference. latency: microseconds of inferences after a warm-up; a phone's samples have no times
    of their own. phone: what a phone told about itself and its state.
    """

    stack_peak: int | None = None
    arena_peak: int | None = None
    layer_ticks: Sequence[float] | None = None
    latency: Summary | None = None
    phone: schema.Phone | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that a report states, gathered; None is what did not run.

    model_bytes: the size of the model's file. ticks: one per finished sample. done: the numbers of
    the finished samples, rising.
    """

    manifest: Manifest
    target: schema.Target
    model_bytes: int
    version: str
    origin: str
    digest: str
    requested: int
    done: Sequence[int]
    counter: Counter
    ticks: Sequence[int]
    facts: DeviceFacts = field(default_factory=DeviceFacts)
    host: HostResult | None = None
    host_cpu: str | None = None
    oracle: str | None = None
    parity: Parity | None = None
    accuracy: schema.Accuracy | None = None
    failure: EdgepackError | None = None
    interruptions: tuple[schema.Interruption, ...] = ()


def build_report(evidence: Evidence) -> schema.RunReport:
    """The run.json of what is known."""
    e = evidence
    model, toolchain = e.manifest.model, e.manifest.toolchain
    return schema.RunReport(
        edgepack_version=e.version,
        build_id=e.manifest.build_id,
        runtime=e.manifest.runtime,
        status="complete" if len(e.done) == e.requested else "partial",
        model=schema.Model(
            name=model.name,
            sha256=model.sha256,
            macs=model.macs,
            weights=model.weights,
            file_bytes=e.model_bytes,
        ),
        target=e.target,
        toolchain=None
        if toolchain is None
        else schema.Toolchain(
            name=toolchain.name, version=toolchain.version, flags=toolchain.flags
        ),
        sizes=_sizes(e.manifest, e.facts.stack_peak),
        samples=schema.SampleSet(
            origin=e.origin,
            sha256=e.digest,
            requested=e.requested,
            done=len(e.done),
            missing=missing_ranges(e.done, e.requested),
        ),
        device=_device(e),
        layers=_layers(e),
        host=_host(e.host, e.host_cpu),
        parity=None
        if e.parity is None or e.oracle is None
        else parity_record(e.parity, e.oracle, is_float=_has_float(e.manifest)),
        accuracy=e.accuracy,
        failure=None
        if e.failure is None
        else schema.Failure(
            error=e.failure.kind, message=e.failure.message, exit_code=e.failure.exit_code
        ),
        interruptions=e.interruptions,
        phone=e.facts.phone,
    )


def missing_ranges(done: Sequence[int], requested: int) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of the numbers below `requested` that are not in `done` (rising)."""
    ranges = []
    expected = 0
    for number in [*done, requested]:
        if number > expected:
            ranges.append((expected, number))
        expected = number + 1
    return tuple(ranges)


def parity_record(parity: Parity, oracle: str, *, is_float: bool) -> schema.ParityRecord:
    """A comparison as run.json states it."""
    return schema.ParityRecord(
        oracle=oracle,
        samples=parity.samples,
        bytes=parity.bytes,
        mismatched_bytes=parity.mismatched_bytes,
        max_abs_diff=parity.max_abs_diff if math.isfinite(parity.max_abs_diff) else None,
        first_mismatch=_mismatch(parity.first_mismatch),
        tolerance=FLOAT_TOLERANCE if is_float else 0.0,
    )


def accuracy_record(
    labels: Array, device: Array | None, host: Array | None, oracle: Array | None
) -> schema.Accuracy:
    """Top-1 of each side that ran, on the same samples: first outputs [n, ...] and labels [n]."""

    def share(scores: Array | None) -> float | None:
        return None if scores is None else top1(scores, labels)

    return schema.Accuracy(
        metric=METRIC,
        n=len(labels),
        device=share(device),
        host=share(host),
        oracle=share(oracle),
    )


def _device(e: Evidence) -> schema.Device:
    """Ticks become a latency only where the clock is real, and instructions only where counted."""
    measured = _measured(e)
    return schema.Device(
        latency_us=measured.get("latency_us"),
        instructions=measured.get("instructions"),
        modelled_cycles=None,
        arena_peak_bytes=e.facts.arena_peak,
    )


def _measured(e: Evidence) -> dict[str, schema.Distribution | None]:
    if e.target.kind == "phone":
        return {"latency_us": _distribution(e.facts.latency)}
    name, scale = _unit(e.target, e.counter)
    if name is None:
        return {}
    return {name: _distribution(summarize([t * scale for t in e.ticks]))}


def _distribution(summary: Summary | None) -> schema.Distribution | None:
    if summary is None:
        return None
    return schema.Distribution(n=summary.n, min=summary.min, median=summary.median, max=summary.max)


def _unit(target: schema.Target, counter: Counter) -> tuple[str | None, float]:
    """The run.json field that ticks of this counter belong to, and the value of one tick there."""
    if counter.kind == "instructions":
        return "instructions", 1.0
    if target.kind == "emulated":
        return None, 1.0  # an emulator's clock says nothing about the real chip
    return "latency_us", 1e6 / counter.hz


def _layers(e: Evidence) -> tuple[schema.Layer, ...]:
    name, scale = _unit(e.target, e.counter)
    layers = e.manifest.model.layers
    ticks = e.facts.layer_ticks
    measured = ticks is not None and name is not None and len(ticks) == len(layers)
    return tuple(
        schema.Layer(
            index=layer.index,
            op=layer.op,
            name=layer.name,
            kernel=layer.kernel,
            macs=layer.macs,
            weight_bytes=layer.weight_bytes,
            **({name: ticks[i] * scale} if measured and ticks and name else {}),
        )
        for i, layer in enumerate(layers)
    )


def _sizes(manifest: Manifest, stack_peak: int | None) -> schema.Sizes | None:
    s = manifest.sizes
    if s is None:
        return None
    return schema.Sizes(
        flash_bytes=schema.FlashBytes(
            total=s.flash_total, code=s.flash_code, weights=s.flash_weights, tables=s.flash_tables
        ),
        ram_bytes=schema.RamBytes(
            total=s.ram_total, arena=s.ram_arena, static=s.ram_static, stack_peak=stack_peak
        ),
    )


def _host(host: HostResult | None, cpu: str | None) -> schema.Host | None:
    if host is None:
        return None
    t = host.latency_us
    return schema.Host(
        runtime=host.runtime,
        version=host.version,
        threads=host.threads,
        latency_us=schema.HostDistribution(n=t.n, min=t.min, median=t.median, p95=t.p95, max=t.max),
        cpu=cpu,
    )


def _mismatch(first: Mismatch | None) -> schema.FirstMismatch | None:
    if first is None:
        return None
    return schema.FirstMismatch(
        sample=first.sample,
        output=first.output,
        index=first.index,
        actual=_number(first.actual),
        expected=_number(first.expected),
    )


def _number(value: int | float) -> schema.Number:
    if isinstance(value, int) or math.isfinite(value):
        return value
    if math.isnan(value):
        return "nan"
    return "inf" if value > 0 else "-inf"


def _has_float(manifest: Manifest) -> bool:
    return any(output.dtype.startswith("FLOAT") for output in manifest.model.outputs)
