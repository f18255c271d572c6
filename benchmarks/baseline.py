"""The figures that may not get worse: tests/golden/baseline.json.

    python -m benchmarks.baseline             compare with what is recorded
    python -m benchmarks.baseline --update    record what is measured now
    python -m benchmarks.baseline --only kws  the entries whose name holds `kws`, and no others

`tests/emulator/test_baseline.py` fails when a figure is more than 1 % above the recorded one.
Entries whose model is absent (MLPerf Tiny without the folder of real models) are kept as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Figures, measure, mlperf_tiny
from edgepack.targets import load_target
from edgepack.toolchain import find_compiler

PATH = Path(__file__).resolve().parents[1] / "tests" / "golden" / "baseline.json"
UPDATE = "python -m benchmarks.baseline --update"
# Room for what says nothing of a change: a different alignment, another register in a prologue.
TOLERANCE = 0.01
LIMITED = ("instructions", "flash", "ram")  # the parts of ram are recorded to explain it
_RECORDED = ("instructions", "flash", "ram", "static", "arena", "stack")
_EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "digits" / "digits_int8.tflite"
_EXAMPLE_TARGETS = ("netduinoplus2", "mps2-an385", "mps3-an547")
_MLPERF_TARGET = "netduinoplus2"


@dataclass(frozen=True)
class Entry:
    """One model on one target."""

    name: str
    target: str

    @property
    def key(self) -> str:
        """Its key in baseline.json."""
        return f"{self.name}/{self.target}"

    def model(self) -> Path | None:
        """The model's file, or None where it is absent."""
        return _EXAMPLE if self.name == "digits" else mlperf_tiny().get(self.name)


@dataclass(frozen=True)
class Change:
    """A figure, as recorded and as measured now."""

    figure: str
    recorded: float
    measured: float

    @property
    def share(self) -> float:
        """By how much it grew: 0.02 is 2 % worse."""
        return self.measured / self.recorded - 1.0

    def __str__(self) -> str:
        return f"{self.figure} {self.recorded:,.0f} -> {self.measured:,.0f} ({self.share:+.2%})"


ENTRIES = (
    *(Entry("digits", target) for target in _EXAMPLE_TARGETS),
    *(Entry(name, _MLPERF_TARGET) for name in ("kws", "ic", "vww", "ad", "sww")),
)


def read(path: Path = PATH) -> dict[str, Any]:
    """The recorded figures by entry, each with the compiler that they were measured with."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def compiler(target: str) -> str:
    """The compiler that a target's images are made with here."""
    return find_compiler(load_target(target)).version


def changes(recorded: dict[str, Any], measured: Figures) -> tuple[list[Change], list[Change]]:
    """The limited figures that got worse, and those that got better, by more than TOLERANCE."""
    all_of_them = [Change(f, recorded[f], getattr(measured, f)) for f in LIMITED]
    worse = [c for c in all_of_them if c.measured > c.recorded * (1.0 + TOLERANCE)]
    better = [c for c in all_of_them if c.measured < c.recorded * (1.0 - TOLERANCE)]
    return worse, better


def parts(recorded: dict[str, Any], measured: Figures) -> str:
    """What RAM consists of, before and now."""
    names = ("static", "arena", "stack")
    return ", ".join(str(Change(n, recorded[n], getattr(measured, n))) for n in names)


def main() -> int:
    """Measure, then compare or record; exits with 1 when a comparison finds something worse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--update", action="store_true", help="record what is measured now")
    parser.add_argument("--only", default="", metavar="TEXT", help="part of MODEL/TARGET")
    given = parser.parse_args()
    recorded = read() if PATH.exists() else {}
    new = {entry.key: recorded[entry.key] for entry in ENTRIES if entry.key in recorded}
    any_worse = False
    with tempfile.TemporaryDirectory() as folder:
        for entry in (entry for entry in ENTRIES if given.only in entry.key):
            model = entry.model()
            if model is None:
                print(f"{entry.key}: no such model here; set EDGEPACK_DATA")
                continue
            figures = measure(model, entry.target, Path(folder), full_image=False)
            if figures.mismatched_bytes:
                sys.exit(f"{entry.key}: {figures.mismatched_bytes} output bytes are wrong")
            if entry.key in recorded:
                worse, better = changes(recorded[entry.key], figures)
                any_worse |= bool(worse)
                for word, found in (("worse", worse), ("better", better)):
                    for change in found:
                        print(f"{entry.key}: {word}: {change}")
            new[entry.key] = {f: getattr(figures, f) for f in _RECORDED}
            new[entry.key]["compiler"] = compiler(entry.target)
    if not given.update:
        print(f"to record what was measured: {UPDATE}")
        return int(any_worse)
    ordered = {entry.key: new[entry.key] for entry in ENTRIES if entry.key in new}
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    print(f"written: {PATH.relative_to(PATH.parents[2])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
