"""How figures read in a report: one place, so that terminal and HTML say the same."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.report.schema import Distribution, FirstMismatch, PhoneState, RunReport

UNMEASURED = "-"

KIND_NOTES = {
    "hardware": "measured on real hardware",
    "emulated": "emulated: instructions are exact, nothing here is a latency",
    "host": "compiled natively and run on this host",
    "phone": "measured on the phone",
}


@dataclass(frozen=True)
class Row:
    """One line of the side-by-side table."""

    what: str
    device: str
    host: str


def integer(value: float | None) -> str:
    """12345 -> 12,345."""
    return UNMEASURED if value is None else f"{value:,.0f}"


def size(value: int | None) -> str:
    """Bytes, with KiB where that helps."""
    if value is None:
        return UNMEASURED
    return f"{value:,} B" if value < 10_240 else f"{value:,} B ({value / 1024:.1f} KiB)"


def microseconds(value: float | None) -> str:
    """A time with a unit that keeps three or four digits."""
    if value is None:
        return UNMEASURED
    for limit, divisor, unit in ((1e3, 1.0, "us"), (1e6, 1e3, "ms")):
        if value < limit:
            return f"{value / divisor:.4g} {unit}"
    return f"{value / 1e6:.4g} s"


def percent(value: float | None) -> str:
    """0.902 -> 90.2 %."""
    return UNMEASURED if value is None else f"{value * 100:.1f} %"


def hertz(value: int | None) -> str:
    """168000000 -> 168 MHz."""
    return UNMEASURED if value is None else f"{value / 1e6:g} MHz"


def _range(values: Distribution, text: str, low: str, high: str) -> str:
    return text if values.min == values.max else f"{text} ({low} to {high})"


def speed_rows(report: RunReport) -> list[Row]:
    """Latency, instructions and cycles of the device beside the host's latency."""
    device, host = report.device, report.host
    rows: list[Row] = []
    if device.latency_us is not None or host is not None:
        d = device.latency_us
        rows.append(
            Row(
                "latency, median",
                UNMEASURED
                if d is None
                else _range(d, microseconds(d.median), microseconds(d.min), microseconds(d.max)),
                UNMEASURED
                if host is None
                else f"{microseconds(host.latency_us.median)}"
                f" (p95 {microseconds(host.latency_us.p95)})",
            )
        )
    for name, values in (
        ("instructions, median", device.instructions),
        (f"cycles by {device.cycle_model}, median", device.modelled_cycles),
    ):
        if values is not None:
            text = _range(values, integer(values.median), integer(values.min), integer(values.max))
            rows.append(Row(name, text, UNMEASURED))
    counted = device.instructions or device.modelled_cycles
    if counted is not None and report.model.macs:
        unit = "instructions" if device.instructions is not None else "modelled cycles"
        per_mac = counted.median / report.model.macs
        rows.append(Row(f"{unit} per MAC", f"{per_mac:.2f}", UNMEASURED))
    if report.accuracy is not None:
        a = report.accuracy
        rows.append(Row(f"{a.metric} accuracy (n={a.n})", percent(a.device), percent(a.host)))
    return rows


def size_rows(report: RunReport) -> list[tuple[str, str]]:
    """Flash and RAM, part by part."""
    if report.sizes is None:
        return []
    flash, ram = report.sizes.flash_bytes, report.sizes.ram_bytes
    # how much of the arena the device really wrote, or, with TFLM, took of the reserve
    used = report.device.arena_peak_bytes
    return [
        ("flash, total", size(flash.total)),
        ("  code", size(flash.code)),
        ("  weights", size(flash.weights)),
        ("  tables", size(flash.tables)),
        ("RAM, total", size(ram.total)),
        ("  arena", size(ram.arena)),
        *([] if used is None else [("    used", size(used))]),
        ("  static", size(ram.static)),
        ("  stack, peak", size(ram.stack_peak)),
    ]


def parity_text(report: RunReport) -> str:
    """One sentence: whether the device computed what the oracle did."""
    parity = report.parity
    if parity is None:
        return "not compared with an oracle"
    head = f"{parity.samples:,} samples, {parity.bytes:,} output bytes against {parity.oracle}: "
    if parity.mismatched_bytes == 0:
        return head + "all equal"
    if parity.first_mismatch is None:
        return head + (
            f"{parity.mismatched_bytes:,} bytes differ, all within {parity.tolerance:g} "
            f"(largest difference {parity.max_abs_diff:.3g})"
        )
    return head + (
        f"{parity.mismatched_bytes:,} bytes differ; {mismatch_text(parity.first_mismatch)}"
    )


def mismatch_text(first: FirstMismatch) -> str:
    """Where the first difference is, and both values."""
    return (
        f"first at sample {first.sample}, output {first.output}, element {first.index}: "
        f"got {first.actual}, expected {first.expected}"
    )


def samples_text(report: RunReport) -> str:
    """How many samples ran, from where, and what is missing."""
    s = report.samples
    text = f"{s.done:,} of {s.requested:,} samples from {s.origin}"
    if s.missing:
        ranges = ", ".join(
            f"{first}" if end == first + 1 else f"{first}-{end - 1}" for first, end in s.missing[:8]
        )
        more = ", ..." if len(s.missing) > 8 else ""
        text += f"; missing: {ranges}{more} (edgepack bench --resume completes them)"
    return text


def interruption_lines(report: RunReport) -> list[str]:
    """How often the device was lost and found again, and why."""
    return [
        f"lost and found again after {i.samples_done:,} samples: {i.message}"
        for i in report.interruptions
    ]


def target_text(report: RunReport) -> str:
    """The target in one line, with what kind of figures it gives."""
    t = report.target
    clock = f", {hertz(t.clock_hz)}" if t.clock_hz is not None else ""
    by = f"; played by {t.emulator.name} {t.emulator.version}" if t.emulator is not None else ""
    note = KIND_NOTES[t.kind]
    if report.phone is not None and report.phone.emulated:
        note = "an emulated phone: nothing here is a latency"
    return f"{t.id} ({t.cpu}{clock}; {note}{by}; verified: {t.verified})"


def phone_lines(report: RunReport) -> list[str]:
    """How a phone measured, and in which state."""
    p = report.phone
    if p is None:
        return []
    cores = "any cores" if p.cpu_mask is None else f"cores {_core_list(p.cpu_mask)}"
    how = [f"Android {p.android}, {p.abi}", f"{p.program} ({p.variant})", cores]
    how += [f"governor {p.governor}"] if p.governor else []
    how += [f"{p.threads} threads"] if p.threads > 1 else []
    how += [f"{p.warmup_runs} inferences of warm-up left out"]
    how += [] if p.latency_us is None else [f"p95 {microseconds(p.latency_us.p95)}"]
    if p.latency_us is None and p.average_us is not None:
        spread = "" if p.deviation_us is None else f" +- {microseconds(p.deviation_us)}"
        how += [f"mean {microseconds(p.average_us)}{spread}"]
    how += [] if p.init_us is None else [f"initialization {microseconds(p.init_us)}"]
    memory = size(None if p.peak_memory_kb is None else p.peak_memory_kb * 1024)
    return ["; ".join([*how, f"memory {memory}"]), _states(p.before, p.after)]


def _states(before: PhoneState, after: PhoneState) -> str:
    def both(name: str, first: float | None, last: float | None, unit: str) -> list[str]:
        if first is None and last is None:
            return []
        texts = [UNMEASURED if x is None else f"{x:g}" for x in (first, last)]
        return [f"{name} {' to '.join(dict.fromkeys(texts))}{unit}"]

    clocks = [None if s.clock_khz is None else s.clock_khz / 1000 for s in (before, after)]
    words = [
        *both("clock", clocks[0], clocks[1], " MHz"),
        *both("thermal status", before.thermal_status, after.thermal_status, ""),
        *both("CPU", before.cpu_celsius, after.cpu_celsius, " C"),
        *both("battery", before.battery_percent, after.battery_percent, " %"),
        *both("battery", before.battery_celsius, after.battery_celsius, " C"),
        *(["charging"] if after.charging else []),
    ]
    return ", ".join(words) or "the phone tells nothing of its state"


def _core_list(mask: str) -> str:
    bits = int(mask, 16)
    return ", ".join(str(n) for n in range(bits.bit_length()) if bits >> n & 1)
