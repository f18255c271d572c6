"""TFLite's own benchmark_model on a phone.

Its flags differ between releases and are asked for with --help. Outputs are read back by a start
for each sample (`--input_layer_value_files`, `--output_filepath`); a release that cannot write them
gives times alone, and no sample counts as done.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgepack.bench.assemble import Counter, DeviceFacts
from edgepack.bench.device import Job
from edgepack.bench.journal import SampleResult
from edgepack.bench.phone.cores import choose_cores
from edgepack.bench.phone.facts import PhoneFacts, read_conditions
from edgepack.bench.phone.folder import run_program
from edgepack.bench.phone.record import Measured, phone_record
from edgepack.bench.phone.settings import PhoneSettings
from edgepack.bench.phone.tflite_text import (
    Op,
    TfliteReport,
    read_flags,
    read_profile,
    read_tflite_report,
)
from edgepack.bench.statistics import Summary
from edgepack.errors import DataError, UnsupportedError, UsageError
from edgepack.link.adb_errors import PhoneProgramError
from edgepack.link.adb_phone import PhoneLink, ShellResult, check_program
from edgepack.manifest import Manifest
from edgepack.report import schema

ON_PHONE = "phone:"
FOUND = "found"
_NAMES = "benchmark_model android_aarch64_benchmark_model android_arm_benchmark_model"
_ACCELERATORS: dict[str, tuple[tuple[str, str], ...]] = {
    "cpu": (),
    "xnnpack": (("use_xnnpack", "true"),),
    "plain": (("use_xnnpack", "false"),),
    "gpu": (("use_gpu", "true"),),
    "nnapi": (("use_nnapi", "true"),),
}
_APPLIED_NAMES = {"gpu": "GPU", "nnapi": "NNAPI", "xnnpack": "XNNPACK"}


class TflitePhone:
    """A `Device`: benchmark_model in a folder of a phone. Arguments as for `NativePhone`."""

    def __init__(
        self,
        link: PhoneLink,
        facts: PhoneFacts,
        folder: str,
        model: Path,
        manifest: Manifest,
        settings: PhoneSettings,
    ) -> None:
        self._link, self._facts, self._folder = link, facts, folder
        self._manifest, self._settings = manifest, settings
        self._mask = choose_cores(settings.cpus, facts.cores, settings.threads)
        self._unpinned = self._mask is not None and not self._can_pin()
        self._mask = None if self._unpinned else self._mask
        self._program = self._bring(settings.binary or FOUND)
        self._model = f"{folder}/model.tflite"
        link.push(model, self._model)
        shown = self._shell(["--help"])
        self._flags = read_flags(shown.stdout + shown.stderr)
        self._has_inputs = False
        if "graph" not in self._flags:
            raise UnsupportedError(
                f"{settings.binary} is no benchmark_model: its --help lists no --graph "
                f"({shown.tail(1)})",
                allowed="a build of tensorflow/lite/tools/benchmark for the phone's ABI",
            )

    @property
    def counter(self) -> Counter:
        """Samples have no times of their own; the timed run has."""
        return Counter("time", 1_000_000)

    def run(self, jobs: Iterable[Job]) -> Iterator[SampleResult]:
        """See `Device.run`; nothing is yielded when this release cannot write outputs."""
        if self._manifest.model.stateful:
            raise UnsupportedError(
                "benchmark_model cannot carry a model's state from one sample to the next",
                next_step="leave out --benchmark-binary: edgepack's own program can",
            )
        for job in jobs:
            self._push_inputs(job.payload)
            if "output_filepath" not in self._flags:
                return
            once = {"num_runs": "1", "min_secs": "0", "warmup_runs": "0", "warmup_min_secs": "-1"}
            out = f"{self._folder}/out.bin"
            self._start({**once, "output_filepath": out})
            with tempfile.TemporaryDirectory() as local:
                outputs = self._link.pull(out, Path(local) / "out.bin")
            expected = sum(t.bytes for t in self._manifest.model.outputs)
            if len(outputs) != expected:
                raise DataError(
                    f"benchmark_model wrote {len(outputs)} bytes of outputs",
                    allowed=f"{expected}, the outputs of {self._manifest.model.name}",
                )
            self._link.shell(f"rm {shlex.quote(out)}")  # a stale file must not pass for the next
            yield SampleResult(job.index, outputs, 0)

    def facts(self) -> DeviceFacts:
        """The timed inferences; then, in a run of its own, the profile of ops."""
        s = self._settings
        before = read_conditions(self._link)
        report = read_tflite_report(
            self._start(
                {
                    "num_runs": str(s.min_runs),
                    "min_secs": f"{s.min_secs:g}",
                    "max_secs": f"{s.max_secs:g}",
                    "warmup_min_secs": f"{s.warmup_ms / 1000:g}",
                }
            ).stdout
        )
        after = read_conditions(self._link)
        ops = self._profile() if s.profile else ()
        latency = _summary(report)
        timed, warmup = report.timed, report.warmup
        measured = Measured(
            program="benchmark_model",
            variant=", ".join(report.delegates) or "no delegate named",
            flags=tuple(self._accelerator()) + s.flags,
            threads=s.threads,
            mask=self._mask,
            times=latency,
            warmup_runs=0 if warmup is None else warmup.count,
            peak_memory_kb=_kilobytes(report),
            average=report.average,
            deviation=None if timed is None else timed.deviation,
            init=report.init,
            first=report.first,
            notes=tuple(self._notes(report)),
            ops=tuple(
                schema.PhoneOp(
                    op=o.kind, name=o.name, average_us=o.average_ms * 1000, calls=o.calls
                )
                for o in ops
            ),
        )
        record = phone_record(self._facts, before, after, measured)
        return DeviceFacts(latency=latency, phone=record)

    def _bring(self, binary: str) -> str:
        """The program's path on the phone."""
        if binary == FOUND:
            return self._find()
        if binary.startswith(ON_PHONE):
            return binary.removeprefix(ON_PHONE)
        path = Path(binary)
        if not path.is_file():
            raise UsageError(
                f"--benchmark-binary {binary} is no file",
                allowed=f"a file, {ON_PHONE}PATH on the phone, or {FOUND}",
            )
        remote = f"{self._folder}/benchmark_model"
        self._link.push(path, remote)
        self._link.shell(f"chmod 755 {remote}")
        return remote

    def _can_pin(self) -> bool:
        """Whether the phone has `taskset`, and the cores are switched on."""
        return self._link.shell(f"taskset {self._mask:x} true").code == 0

    def _find(self) -> str:
        parent = self._settings.parent
        tried = " ".join(f"{parent}/{name}" for name in _NAMES.split())
        look = f"for f in {tried}; do [ -f $f ] && echo $f; done; command -v benchmark_model; true"
        found = self._link.shell(look).stdout.split()
        if not found:
            raise UsageError(
                f"there is no benchmark_model on phone {self._link.serial} ({tried})",
                next_step="--benchmark-binary FILE",
            )
        return found[0]

    def _push_inputs(self, payload: bytes) -> None:
        start = 0
        with tempfile.TemporaryDirectory() as local:
            for index, tensor in enumerate(self._manifest.model.inputs):
                path = Path(local) / f"in{index}.bin"
                path.write_bytes(payload[start : start + tensor.bytes])
                self._link.push(path, f"{self._folder}/{path.name}")
                start += tensor.bytes
        self._has_inputs = True

    def _accelerator(self) -> Iterator[str]:
        known = _ACCELERATORS.get(self._settings.accelerator)
        if known is None:
            raise UsageError(
                f"--accelerator {self._settings.accelerator}", allowed=", ".join(_ACCELERATORS)
            )
        for name, value in known:
            if name not in self._flags:
                raise UnsupportedError(
                    f"this benchmark_model has no --{name}",
                    allowed=", ".join(sorted(f for f in self._flags if f.startswith("use_"))),
                )
            yield f"--{name}={value}"

    def _input_flags(self) -> Iterator[tuple[str, str]]:
        """Inputs from files; a colon in a tensor's name is written twice."""
        tensors = self._manifest.model.inputs
        if not self._has_inputs or "input_layer_value_files" not in self._flags:
            return
        names = [t.name for t in tensors]
        if any("," in name for name in names):
            return  # the flag separates by commas and knows no escape for them
        yield "input_layer", ",".join(names)
        yield "input_layer_shape", ":".join(",".join(map(str, t.shape)) for t in tensors)
        files = (f"{n.replace(':', '::')}:{self._folder}/in{i}.bin" for i, n in enumerate(names))
        yield "input_layer_value_files", ",".join(files)

    def _start(self, wanted: dict[str, str]) -> ShellResult:
        """Run it with those of the flags that this release has."""
        s = self._settings
        flags = {"graph": self._model, "num_threads": str(s.threads), **wanted}
        flags.update(self._input_flags())
        words = [f"--{k}={v}" for k, v in flags.items() if k in self._flags]
        result = self._shell([*words, *self._accelerator(), *s.flags])
        if result.code != 0:
            raise PhoneProgramError(
                f"benchmark_model on phone {self._link.serial} ended with code {result.code}: "
                f"{result.tail(3)}",
            )
        # releases differ in which stream they log to
        return ShellResult(result.code, f"{result.stdout}\n{result.stderr}", result.stderr)

    def _shell(self, words: list[str]) -> ShellResult:
        return run_program(
            self._link,
            self._folder,
            [self._program, *words],
            seconds=self._settings.program_seconds,
            check=check_program,
            prefix="" if self._mask is None else f"taskset {self._mask:x} ",
        )

    def _profile(self) -> tuple[Op, ...]:
        """A few profiled inferences; the CSV file where the release writes one, else the table."""
        if "enable_op_profiling" not in self._flags:
            return ()
        csv = f"{self._folder}/profile.csv"
        flags = {"enable_op_profiling": "true", "num_runs": "10", "min_secs": "0"}
        if "op_profiling_output_file" in self._flags:
            flags.update(op_profiling_output_mode="csv", op_profiling_output_file=csv)
        elif "profiling_output_csv_file" in self._flags:
            flags["profiling_output_csv_file"] = csv
        result = self._start(flags)
        if csv in flags.values():
            with tempfile.TemporaryDirectory() as local:
                text = self._link.pull(csv, Path(local) / "profile.csv")
            return read_profile(text.decode("utf-8", "replace"))
        return read_profile(result.stdout)

    def _notes(self, report: TfliteReport) -> Iterator[str]:
        if self._unpinned:
            yield "the phone did not pin it to the cores that were asked for (taskset)"
        if "output_filepath" not in self._flags:
            yield "this benchmark_model writes no outputs: what it computed is not known"
        if not any(name == "input_layer_value_files" for name, _ in self._input_flags()):
            yield "this benchmark_model was not given the samples: its inputs are random"
        wanted = _APPLIED_NAMES.get(self._settings.accelerator)
        applied = " ".join(report.delegates)
        if wanted is not None and wanted not in applied:
            yield f"{wanted} was asked for and not applied: the figures are the CPU's"
        elif any(_is_part(text) for text in report.delegates):
            yield "the delegate runs a part of the model alone, the CPU the rest"


def _summary(report: TfliteReport) -> Summary | None:
    t = report.timed
    if t is None or t.min is None or t.max is None or t.median is None or t.p95 is None:
        return None
    return Summary(n=t.count, min=t.min, median=t.median, p95=t.p95, max=t.max)


def _is_part(delegate: str) -> bool:
    """Whether a delegate runs less than the whole graph."""
    counted = re.search(r"(\d+) of (\d+) nodes", delegate)
    return "partially" in delegate or (counted is not None and counted[1] != counted[2])


def _kilobytes(report: TfliteReport) -> int | None:
    peak = report.memory_peak_mb or report.memory_overall_mb
    return None if peak is None or peak < 0 else round(peak * 1024)
