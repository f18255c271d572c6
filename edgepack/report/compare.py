"""Two runs side by side: what changed, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgepack.report.figures import UNMEASURED, integer, microseconds, percent, size
from edgepack.report.schema import Distribution, Phone, RunReport


@dataclass(frozen=True)
class Row:
    """One figure of both runs; `ratio` is after / before, None where one side lacks it."""

    name: str
    before: str
    after: str
    change: str
    ratio: float | None


@dataclass(frozen=True)
class Comparison:
    """`notes` say what makes the two runs differ in kind, so that figures are not misread."""

    before: str
    after: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


_Get = Callable[[RunReport], float | None]
_Text = Callable[[float | None], str]


def _median(get: Callable[[RunReport], Distribution | None]) -> _Get:
    def median(report: RunReport) -> float | None:
        values = get(report)
        return None if values is None else values.median

    return median


def _size(part: str, field: str) -> _Get:
    def get(report: RunReport) -> float | None:
        if report.sizes is None:
            return None
        value: float | None = getattr(getattr(report.sizes, part), field)
        return value

    return get


def _bytes(value: float | None) -> str:
    return size(None if value is None else int(value))


def _phone_p95(report: RunReport) -> float | None:
    times = report.phone.latency_us if report.phone is not None else None
    return None if times is None else times.p95


def _phone_memory(report: RunReport) -> float | None:
    kilobytes = report.phone.peak_memory_kb if report.phone is not None else None
    return None if kilobytes is None else kilobytes * 1024


_FIGURES: tuple[tuple[str, _Get, _Text], ...] = (
    ("device latency, median", _median(lambda r: r.device.latency_us), microseconds),
    ("p95 on the phone", lambda r: _phone_p95(r), microseconds),
    ("mean by benchmark_model", lambda r: r.phone.average_us if r.phone else None, microseconds),
    ("instructions, median", _median(lambda r: r.device.instructions), integer),
    ("modelled cycles, median", _median(lambda r: r.device.modelled_cycles), integer),
    (
        "host latency, median",
        _median(lambda r: r.host.latency_us if r.host else None),
        microseconds,
    ),
    ("model file", lambda r: r.model.file_bytes, _bytes),
    ("MACs", lambda r: r.model.macs, integer),
    ("weights", lambda r: r.model.weights, integer),
    ("flash, total", _size("flash_bytes", "total"), _bytes),
    ("flash, code", _size("flash_bytes", "code"), _bytes),
    ("flash, weights", _size("flash_bytes", "weights"), _bytes),
    ("flash, tables", _size("flash_bytes", "tables"), _bytes),
    ("RAM, total", _size("ram_bytes", "total"), _bytes),
    ("RAM, arena", _size("ram_bytes", "arena"), _bytes),
    ("RAM, static", _size("ram_bytes", "static"), _bytes),
    ("RAM, stack peak", _size("ram_bytes", "stack_peak"), _bytes),
    ("memory of the process", lambda r: _phone_memory(r), _bytes),
    (
        "mismatched bytes",
        lambda r: r.parity.mismatched_bytes if r.parity else None,
        integer,
    ),
    ("accuracy on the device", lambda r: r.accuracy.device if r.accuracy else None, percent),
)


def compare_runs(before: RunReport, after: RunReport) -> Comparison:
    """Compare two runs; figures that neither run has are left out."""
    rows = []
    for name, get, text in _FIGURES:
        old, new = get(before), get(after)
        if old is None and new is None:
            continue
        ratio = new / old if old and new is not None else None
        rows.append(Row(name, text(old), text(new), _change(name, old, new), ratio))
    return Comparison(_title(before), _title(after), tuple(rows), _notes(before, after))


def _change(name: str, old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return UNMEASURED
    if new == old:
        return "="
    if name.startswith("accuracy"):
        return f"{(new - old) * 100:+.1f} points"
    if old == 0:
        return f"{new - old:+,.0f}"
    change = f"{(new / old - 1) * 100:+.1f} %"
    return change if new == 0 or 0.5 < new / old < 2 else f"{change} ({new / old:.3g}x)"


def _title(report: RunReport) -> str:
    return f"{report.model.name} on {report.target.id} ({report.runtime})"


def _notes(before: RunReport, after: RunReport) -> tuple[str, ...]:
    pairs = (
        ("models", before.model.sha256[:12], after.model.sha256[:12]),
        ("targets", before.target.id, after.target.id),
        ("kinds of target", before.target.kind, after.target.kind),
        ("runtimes", before.runtime, after.runtime),
        ("compilers", _compiler(before), _compiler(after)),
        ("compiler flags", _only(before, after), _only(after, before)),
        ("samples", before.samples.sha256[:12], after.samples.sha256[:12]),
        ("host CPUs", _cpu(before), _cpu(after)),
        *_phones(before.phone, after.phone),
    )
    notes = [f"different {what}: {old} and {new}" for what, old, new in pairs if old != new]
    for name, report in (("first", before), ("second", after)):
        if report.status == "partial":
            done, asked = report.samples.done, report.samples.requested
            notes.append(f"the {name} run is partial: {done} of {asked} samples")
        warnings = report.phone.warnings if report.phone is not None else ()
        notes += [f"the {name} run's times: {text}" for text in warnings]
    return tuple(notes)


def _phones(before: Phone | None, after: Phone | None) -> tuple[tuple[str, str, str], ...]:
    """What makes two runs on phones differ besides the model."""
    if before is None or after is None:
        return ()
    old, new = _settings(before), _settings(after)
    return tuple((what, old[what], new[what]) for what in old)


def _settings(phone: Phone) -> dict[str, str]:
    status = phone.after.thermal_status
    return {
        "programs": f"{phone.program} ({phone.variant})",
        "flags": " ".join(phone.flags) or "none",
        "cores": "any" if phone.cpu_mask is None else f"mask {phone.cpu_mask}",
        "numbers of threads": str(phone.threads),
        "governors": phone.governor or "unknown",
        "thermal states": "unknown" if status is None else str(status),
    }


def _compiler(report: RunReport) -> str:
    return report.toolchain.version if report.toolchain else "unknown"


def _only(report: RunReport, other: RunReport) -> str:
    """The flags that the other run was not compiled with."""
    if report.toolchain is None:
        return "unknown"
    theirs = other.toolchain.flags if other.toolchain is not None else ()
    return " ".join(flag for flag in report.toolchain.flags if flag not in theirs) or "none"


def _cpu(report: RunReport) -> str:
    return (report.host.cpu if report.host else None) or "unknown"
