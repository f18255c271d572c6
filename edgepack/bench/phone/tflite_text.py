"""Reads what TFLite's benchmark_model prints, as its releases from 1.12 to 2.20 do.

Lines may carry a prefix of the logger (`INFO: `) or of logcat. Times are microseconds, some in
exponent form. Outputs that were published are in tests/phone/recorded. The forms, oldest first:

    Average inference timings in us: Warmup: W, Init: I, no stats: A         TF 1.12 to 2.1
    Average inference timings in us: Warmup: W, Init: I, Inference: A        TF 2.2
    Inference timings in us: Init: I, First inference: F, Warmup (avg): W, Inference (avg): A
                                                                             TF 2.3 and later
    count=N first=F curr=C min=L max=H avg=A std=S                           all
    ... p5=P median=M p95=P                                                  TF 2.17 and later
    count=1 curr=C                                                           one run alone
    Peak memory footprint (MB): init=I overall=O                             TF 2.3
    Memory footprint delta from the start of the tool (MB): init=I overall=O TF 2.4 and later
    Overall peak memory footprint (MB) via periodic monitoring: P            where asked for
    Replacing N out of M node(s) with delegate (TfLiteXNNPackDelegate) node   2.5 and later
    Explicitly applied D delegate, ... completely|partially executed          2.1 and later
    Though D delegate is explicitly applied, ... will not be executed         the same
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgepack.errors import ProtocolError

_N = r"([-+]?[\d.]+(?:e[-+]?\d+)?)"
_STATS = re.compile(r"^count=(\d+)\b(.*)$")  # a profile's begin with `Timings`
_FIELD = re.compile(rf"(\w+)={_N}")
_NEW = re.compile(
    rf"Inference timings in us: Init: {_N}, First inference: {_N}, Warmup \(avg\): {_N}, "
    rf"Inference \(avg\): {_N}"
)
_OLD = re.compile(
    rf"Average inference timings in us: Warmup: {_N}, Init: {_N}, (?:no stats|Inference): {_N}"
)
_MEMORY = re.compile(
    rf"(?:Peak memory footprint|Memory footprint delta from the start of the tool) "
    rf"\(MB\): init={_N} overall={_N}"
)
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_N}")
_SESSION = re.compile(rf"Initialized session in {_N} ?ms")
_APPLIED = re.compile(
    r"(?:Explicitly applied|Applied) (\w+) delegate(?:, and the model graph will be "
    r"(completely|partially) executed)?"
)
_UNUSED = re.compile(r"Though (\w+) delegate is explicitly applied, .* will not be executed")
_REPLACED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\)")
_CREATED = re.compile(r"Created TensorFlow Lite (?:delegate for )?(\w+)")
_ERROR = re.compile(r"^(?:ERROR|FATAL)[: ]\s*(.*)$|^(.*(?:Benchmarking failed|[Ff]ailed to .*))$")
_TABLE = re.compile(r"=+ (.+?) =+\s*$")
_OP_NAME = re.compile(r"^\[(.*)\](?::\d+)?$")  # newer releases add the op's number
_REGULAR = "Regular Benchmark Runs"
_INITIALIZATION = "Benchmark Initialization"
_PREFIX = re.compile(
    r"^(?:[\d\-: .]+[VDIWEF][/ ]tflite\s*(?:\(\s*\d+\))?: )?(?:(?:INFO|VERBOSE|WARN(?:ING)?): )?"
)
# What the nodes that stand for a delegate are called.
_NODES = {"TfLiteXNNPackDelegate": "XNNPACK", "TfLiteGpuDelegateV2": "GPU"}
_NODES["TfLiteNnapiDelegate"] = "NNAPI"


@dataclass(frozen=True)
class Stats:
    """Statistics of repeated inferences, microseconds; None is what the release does not print."""

    count: int
    first: float | None
    min: float | None
    max: float | None
    average: float | None
    deviation: float | None
    median: float | None = None
    p95: float | None = None


@dataclass(frozen=True)
class Op:
    """A row of the profile: node type, name, mean milliseconds per inference, calls in each."""

    kind: str
    name: str
    average_ms: float
    calls: int


@dataclass(frozen=True)
class TfliteReport:
    """What one start of benchmark_model said. Times in microseconds, memory in MB.

    delegates: those that run something of the graph, each with how much where it says so.
    """

    warmup: Stats | None
    timed: Stats | None
    init: float | None
    first: float | None
    average: float
    memory_init_mb: float | None
    memory_overall_mb: float | None
    memory_peak_mb: float | None
    delegates: tuple[str, ...]
    ops: tuple[Op, ...]


def read_tflite_report(text: str) -> TfliteReport:
    """Read the output of one start.

    Raises:
        ProtocolError: it holds no final timings, so the run did not end well; what it said last
            is named.
    """
    lines = [_PREFIX.sub("", line.rstrip()) for line in text.splitlines()]
    final = _final(lines)
    if final is None:
        raise ProtocolError(
            f"benchmark_model gave no timings: {_complaint(lines)}",
            next_step="run it by hand: adb shell, then the command that --verbose shows",
        )
    init, first, _, average = final
    stats = _blocks(lines)
    memory = _search(_MEMORY, lines)
    peak = _search(_PEAK, lines)
    return TfliteReport(
        warmup=stats[-2] if len(stats) > 1 else None,
        timed=stats[-1] if stats else None,
        init=init,
        first=first,
        average=average,
        memory_init_mb=float(memory[1]) if memory else None,
        memory_overall_mb=float(memory[2]) if memory else None,
        memory_peak_mb=float(peak[1]) if peak else None,
        delegates=tuple(_delegates(lines)),
        ops=read_profile(text),
    )


def read_profile(text: str) -> tuple[Op, ...]:
    """The ops in the order of their execution: the table `Run Order` of the regular runs.

    Both forms are read, aligned columns and CSV, by the names of their columns, which changed
    between releases.

    Raises:
        ProtocolError: a row does not have the columns of its header.
    """
    rows: list[str] = []
    titles: list[str] = []
    section, table, wanted = "", "", False
    for raw in text.splitlines():
        line = _PREFIX.sub("", raw.rstrip()) if not raw.startswith("\t") else raw.rstrip()
        if line.endswith(f"{_REGULAR}:"):
            section, rows, titles = _REGULAR, [], []
        elif line.endswith(f"{_INITIALIZATION}:"):
            section = _INITIALIZATION
        heading = _TABLE.search(line)
        if heading is not None:
            table = heading[1]
            wanted = table == "Run Order" and section != _INITIALIZATION and not rows
            titles = [] if wanted else titles
        elif not line.strip():
            wanted = wanted and not rows
        elif wanted and not titles:
            titles = _cells(line)
        elif wanted:
            rows.append(line)
    return tuple(_op(titles, _cells(row)) for row in rows)


def read_flags(text: str) -> frozenset[str]:
    """The flags that `--help` lists, without their dashes."""
    return frozenset(re.findall(r"^\s*--(\w+)=", text, re.M))


def _final(lines: Sequence[str]) -> tuple[float | None, float | None, float, float] | None:
    new = _search(_NEW, lines)
    if new is not None:
        return float(new[1]), float(new[2]), float(new[3]), float(new[4])
    old = _search(_OLD, lines)
    return None if old is None else (float(old[2]), None, float(old[1]), float(old[3]))


def _blocks(lines: Sequence[str]) -> list[Stats]:
    """The statistics of the warm-up and of the timed runs."""
    matches = (_STATS.match(line) for line in lines)
    return [_stats(int(m[1]), dict(_FIELD.findall(m[2]))) for m in matches if m is not None]


def _stats(count: int, fields: dict[str, str]) -> Stats:
    def value(name: str) -> float | None:
        # one run, or runs of one length, print `curr` alone
        text = fields.get(name) or (fields.get("curr") if "min" not in fields else None)
        return None if text is None else float(text)

    return Stats(
        count=count,
        first=value("first"),
        min=value("min"),
        max=value("max"),
        average=value("avg"),
        deviation=float(fields["std"]) if "std" in fields else None,
        median=value("median"),
        p95=value("p95"),
    )


def _delegates(lines: Sequence[str]) -> Iterator[str]:
    shares: dict[str, list[str]] = {}
    unused: set[str] = set()
    for line in lines:
        if match := _UNUSED.search(line):
            unused.add(match[1])
        elif match := _REPLACED.search(line):
            share = f"{match[1]} of {match[2]} nodes"
            shares.setdefault(_NODES.get(match[3], match[3]), []).append(share)
        elif match := _APPLIED.search(line):
            shares.setdefault(match[1], []).extend([match[2]] if match[2] else [])
        elif match := _CREATED.search(line):
            shares.setdefault(match[1], [])
    for name, said in shares.items():
        if name not in unused:
            yield f"{name} ({', '.join(said)})" if said else name


def _cells(line: str) -> list[str]:
    """The columns of a table's row: tabs in the aligned form, commas in CSV."""
    if "\t" in line:
        return [cell.strip() for cell in line.strip("\n").lstrip("\t").split("\t")]
    return [cell.strip() for cell in line.split(", ")]


def _op(titles: Sequence[str], cells: Sequence[str]) -> Op:
    # names may hold the separator: they stand last
    joined = [*cells[: len(titles) - 1], ", ".join(cells[len(titles) - 1 :])]
    row = dict(zip((t.strip("[]").lower().replace("_", " ") for t in titles), joined, strict=False))
    try:
        return Op(
            kind=row["node type"],
            name=_OP_NAME.sub(r"\1", row["name"]),
            average_ms=float(row["avg ms"]),
            calls=int(row.get("times called", "1")),
        )
    except (KeyError, ValueError) as error:
        raise ProtocolError(
            f"benchmark_model's profile has a row of another form: {', '.join(cells)}",
            allowed=", ".join(titles),
        ) from error


def _search(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((m for line in reversed(lines) if (m := pattern.search(line))), None)


def _complaint(lines: Sequence[str]) -> str:
    said = [line for line in lines if line.strip()]
    errors = [line for line in said if _ERROR.search(line)]
    return errors[0] if errors else said[-1] if said else "it printed nothing"
