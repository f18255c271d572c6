"""edgepack's own program on a phone: the generated C, outputs proven, times without a warm-up.

The program (firmware/port/phone/ep_phone.c) states the CRC-32 of the inputs as it read them and of
the outputs as it computed them; a sample counts only when both agree with what was sent and what
came back.
"""

from __future__ import annotations

import statistics
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.bench.assemble import Counter, DeviceFacts
from edgepack.bench.device import Job
from edgepack.bench.journal import SampleResult
from edgepack.bench.phone.cores import choose_cores
from edgepack.bench.phone.facts import PhoneFacts, read_conditions
from edgepack.bench.phone.folder import run_program
from edgepack.bench.phone.record import Measured, phone_record
from edgepack.bench.phone.settings import PhoneSettings
from edgepack.bench.statistics import summarize
from edgepack.errors import ProtocolError, WrongImageError
from edgepack.link.adb_errors import PhoneProgramError, PhoneTransferError
from edgepack.link.adb_phone import PhoneLink, ShellResult, check_program
from edgepack.manifest import Manifest

PROGRAM = "ep_phone"
_BATCH_BYTES = 16 << 20  # of inputs at a time: phones may have little room
_MARGIN_SECONDS = 20  # after which the program ends itself, on top of what it may take


@dataclass(frozen=True)
class Said:
    """What the program printed, by name."""

    facts: dict[str, list[str]]

    def words(self, name: str, count: int) -> list[str]:
        """The words of a fact.

        Raises:
            ProtocolError: it is missing.
        """
        words = self.facts.get(name, [])
        if len(words) < count:
            raise ProtocolError(f"the phone's program did not say {name!r}")
        return words


class NativePhone:
    """A `Device`: edgepack's program in a folder of a phone.

    Args:
        link: the phone. facts: what it is. folder: where on it.
        image: the program; manifest: whose it is.
    """

    def __init__(
        self,
        link: PhoneLink,
        facts: PhoneFacts,
        folder: str,
        image: Path,
        manifest: Manifest,
        settings: PhoneSettings,
    ) -> None:
        self._link, self._facts, self._folder = link, facts, folder
        self._manifest, self._settings = manifest, settings
        self._mask = choose_cores(settings.cpus, facts.cores, 1)
        self._last: bytes | None = None
        self._program = f"{folder}/{PROGRAM}"
        link.push(image, self._program)
        link.shell(f"chmod 755 {self._program}")

    @property
    def counter(self) -> Counter:
        """CLOCK_MONOTONIC in nanoseconds."""
        return Counter("time", 1_000_000_000)

    def run(self, jobs: Iterable[Job]) -> Iterator[SampleResult]:
        """See `Device.run`; samples go to the phone in batches."""
        for batch in self._batches(jobs):
            yield from self._run_batch(batch)

    def _batches(self, jobs: Iterable[Job]) -> Iterator[list[Job]]:
        """Every batch starts from the initial state, so a model with state gets one of all."""
        batch: list[Job] = []
        size = 0
        for job in jobs:
            if (
                batch
                and size + len(job.payload) > _BATCH_BYTES
                and not self._manifest.model.stateful
            ):
                yield batch
                batch, size = [], 0
            batch.append(job)
            size += len(job.payload)
        if batch:
            yield batch

    def _run_batch(self, batch: Sequence[Job]) -> Iterator[SampleResult]:
        inputs = b"".join(job.payload for job in batch)
        self._last = inputs
        with tempfile.TemporaryDirectory() as local:
            self._push(inputs, "in.bin", Path(local))
            said = self._start(["--out", f"{self._folder}/out.bin"])
            self._confirm(said, "inputs", len(batch), inputs)
            outputs = self._pull("out.bin", Path(local))
        self._confirm(said, "outputs", len(batch), outputs)
        size = sum(tensor.bytes for tensor in self._manifest.model.outputs)
        if len(outputs) != size * len(batch):
            raise ProtocolError(f"{len(outputs)} bytes of outputs, not {size * len(batch)}")
        for position, job in enumerate(batch):
            yield SampleResult(job.index, outputs[position * size : (position + 1) * size], 0)

    def facts(self) -> DeviceFacts:
        """The timed inferences, over the samples of the last batch, and then each layer."""
        assert self._last is not None  # the run asks after at least one sample
        s = self._settings
        before = read_conditions(self._link)
        words = ["--times", f"{self._folder}/times.bin", "--warmup-ms", str(s.warmup_ms)]
        words += ["--min-runs", str(s.min_runs), "--min-ms", str(round(s.min_secs * 1000))]
        words += ["--max-ms", str(round(s.max_secs * 1000))]
        if s.profile:
            words += ["--layers", f"{self._folder}/layers.bin"]
        said = self._start(words)
        self._confirm(said, "inputs", None, self._last)
        after = read_conditions(self._link)
        with tempfile.TemporaryDirectory() as local:
            raw = np.frombuffer(self._pull("times.bin", Path(local)), "<u8")
            layers = self._layers(said, Path(local)) if s.profile else None
        times = [int(t) for t in raw]
        runs, _, warmup, _, moves = said.words("timed", 5)
        if int(runs) != len(times) or not times:
            raise ProtocolError(f"{len(times)} times came back of {runs} that were measured")
        clocks = (int(said.words("clock before", 2)[1]), int(said.words("clock after", 2)[1]))
        latency = summarize([t / 1000 for t in times])
        measured = Measured(
            program="edgepack",
            variant=said.words("variant", 1)[0],
            flags=(),
            threads=1,
            mask=None if "unpinned" in said.facts else self._mask,
            times=latency,
            warmup_runs=int(warmup),
            peak_memory_kb=int(said.words("memory", 1)[0]),
            moves=int(moves),
            clocks=clocks,
            notes=_notes(said),
        )
        record = phone_record(self._facts, before, after, measured)
        return DeviceFacts(layer_ticks=layers, latency=latency, phone=record)

    def _layers(self, said: Said, local: Path) -> list[float] | None:
        count, runs = (int(word) for word in said.words("layers", 2))
        table = np.frombuffer(self._pull("layers.bin", local), "<u8")
        if count == 0 or table.size != count * runs:
            return None
        return [statistics.median(column) for column in table.reshape(runs, count).T.tolist()]

    def _start(self, words: list[str]) -> Said:
        s = self._settings
        limit = round(s.program_seconds) + _MARGIN_SECONDS
        argv = [self._program, "--in", f"{self._folder}/in.bin", *words, "--limit", str(limit)]
        argv += [] if self._mask is None else ["--cpus", f"{self._mask:x}"]
        argv += [] if s.kernels is None else ["--variant", s.kernels]
        result = run_program(
            self._link, self._folder, argv, seconds=s.program_seconds, check=check_program
        )
        return self._understood(result)

    def _understood(self, result: ShellResult) -> Said:
        said: dict[str, list[str]] = {}
        for line in result.stdout.splitlines():
            words = line.split()
            if words[:1] != ["ep"] or len(words) < 2:
                continue
            two = words[1] == "clock"
            said[" ".join(words[1:3]) if two else words[1]] = words[3 if two else 2 :]
        if "error" in said:
            raise PhoneProgramError(
                f"the program on phone {self._link.serial} failed: {' '.join(said['error'])}"
            )
        if result.code != 0 or "done" not in said:
            raise PhoneProgramError(
                f"the program on phone {self._link.serial} ended with code {result.code}: "
                f"{result.tail(3)}",
                next_step="codes above 128 are signals, less 128; 132 is an illegal instruction",
            )
        if said.get("build") != [self._manifest.build_id]:
            raise WrongImageError(
                f"phone {self._link.serial} ran another program: build {said.get('build')}",
                allowed=f"build {self._manifest.build_id}",
            )
        return Said(said)

    def _confirm(self, said: Said, what: str, count: int | None, data: bytes) -> None:
        """The phone's own checksum of what it read or computed against ours."""
        there, crc = said.words(what, 2)
        if int(crc, 16) != zlib.crc32(data) or (count is not None and int(there) != count):
            raise PhoneTransferError(
                f"phone {self._link.serial} had {there} samples of {what} with CRC {crc}, here are "
                f"{count} with {zlib.crc32(data):08x}",
                next_step="run the same command again",
            )

    def _push(self, data: bytes, name: str, local: Path) -> None:
        path = local / name
        path.write_bytes(data)
        self._link.push(path, f"{self._folder}/{name}")

    def _pull(self, name: str, local: Path) -> bytes:
        return self._link.pull(f"{self._folder}/{name}", local / name)


def _notes(said: Said) -> tuple[str, ...]:
    why = said.facts.get("unpinned")
    if why is None:
        return ()
    return (f"the phone did not pin it to the cores that were asked for ({' '.join(why)})",)
