"""What a run has done so far, on disk after every sample, so that it can be resumed.

One JSON object a line: first the header that says which image and which samples the run is about,
then one line per sample with the device's output bytes and its counter. A line that is cut short
(the process was killed while writing) is dropped; a journal of another image or of other samples
is refused by its header, never mixed in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgepack.errors import DataError

_FORMAT = 1


@dataclass(frozen=True)
class SampleResult:
    """One verified inference: sample number, bytes of all outputs, counter ticks it took."""

    index: int
    outputs: bytes
    ticks: int


@dataclass(frozen=True)
class JournalKey:
    """What must agree for results to belong to one run."""

    build_id: str
    samples_sha256: str
    counter: str

    def as_dict(self) -> dict[str, Any]:
        """The header line."""
        return {
            "edgepack_journal": _FORMAT,
            "build_id": self.build_id,
            "samples_sha256": self.samples_sha256,
            "counter": self.counter,
        }


class Journal:
    """An append-only file of results; a context manager that closes it."""

    def __init__(self, path: Path, key: JournalKey, *, resume: bool) -> None:
        """Open the journal; without `resume`, or when it belongs to another run, start anew.

        Raises:
            DataError: the file cannot be written.
        """
        self.path = path
        kept = _read(path, key) if resume else []
        self.results: dict[int, SampleResult] = {r.index: r for r in kept}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.new")
            with beside.open("w", encoding="ascii") as file:
                file.write(json.dumps(key.as_dict()) + "\n")
                file.writelines(_line(r) for r in kept)
            beside.replace(path)
            self._file: IO[str] = path.open("a", encoding="ascii", buffering=1)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def add(self, result: SampleResult) -> None:
        """Record one sample; it is with the operating system when this returns."""
        self.results[result.index] = result
        self._file.write(_line(result))

    def remove(self) -> None:
        """Delete the file: the run is complete and run.json says everything."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def journal_path(report: Path) -> Path:
    """Where the journal of a run.json lies: beside it."""
    return report.with_name(f"{report.stem}.journal.jsonl")


def _line(result: SampleResult) -> str:
    return json.dumps({"i": result.index, "o": result.outputs.hex(), "t": result.ticks}) + "\n"


def _read(path: Path, key: JournalKey) -> list[SampleResult]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not lines or _parse(lines[0]) != key.as_dict():
        return []
    results = []
    for line in lines[1:]:
        record = _parse(line) or {}
        try:
            result = SampleResult(int(record["i"]), bytes.fromhex(record["o"]), int(record["t"]))
        except (KeyError, TypeError, ValueError):
            break  # cut short or damaged here: what follows cannot be trusted
        results.append(result)
    return results


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
