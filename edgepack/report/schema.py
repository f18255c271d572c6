"""run.json: the record of one benchmark run.

Three kinds of figures are kept apart. `latency_us` comes from a real clock on real hardware (or
from a native process on the host); `instructions` are counted exactly by an emulator;
`modelled_cycles` follow from a stated model. What was not measured is null, never estimated.
docs/run.schema.json is this module as JSON Schema.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgepack.errors import DataError

RUN_FORMAT: Literal[1] = 1

Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Record):
    """The compiled model: macs are multiply-accumulates of one inference, weights parameters.

    `file_bytes` is the size of the .tflite file; null where it was not recorded yet.
    """

    name: str
    sha256: str
    macs: Count
    weights: Count
    file_bytes: Count | None = None


class Emulator(_Record):
    """What played an emulated board."""

    name: Literal["qemu", "unicorn"]
    version: str


class Target(_Record):
    """What ran the model. `clock_hz` is null where no clock applies (host, phone).

    `emulator` is what edgepack started to play the board; null on hardware and at a port.
    """

    id: str
    cpu: str
    clock_hz: int | None
    kind: Literal["hardware", "emulated", "host", "phone"]
    verified: Literal["none", "compiled", "emulated", "hardware"]
    emulator: Emulator | None = None


class Toolchain(_Record):
    """What compiled the image."""

    name: str
    version: str
    flags: tuple[str, ...]


class FlashBytes(_Record):
    """Bytes of flash; `tables` are constants that are neither code nor model weights."""

    total: Count
    code: Count
    weights: Count
    tables: Count


class RamBytes(_Record):
    """Bytes of RAM; `stack_peak` is the deepest stack the device saw, null when not measured."""

    total: Count
    arena: Count
    static: Count
    stack_peak: Count | None


class Sizes(_Record):
    """What the image takes of its target."""

    flash_bytes: FlashBytes
    ram_bytes: RamBytes


class Distribution(_Record):
    """`n` measurements, one per inference."""

    n: Annotated[int, Field(ge=1)]
    min: float
    median: float
    max: float


class HostDistribution(Distribution):
    """The same with the 95th percentile: a host shares its CPU, its tail is part of the result."""

    p95: float


class Device(_Record):
    """What the target measured; null is what it cannot measure.

    `cycle_model` names the model and version that `modelled_cycles` follow from
    (edgepack/cycles/tables.py).
    """

    latency_us: Distribution | None
    instructions: Distribution | None
    modelled_cycles: Distribution | None
    cycle_model: str | None = None
    arena_peak_bytes: Count | None = None

    @model_validator(mode="after")
    def _named(self) -> Device:
        if self.modelled_cycles is not None and self.cycle_model is None:
            raise ValueError("modelled cycles without the name of their model")
        return self


class Layer(_Record):
    """One layer in execution order; the measured figures are medians of one inference, or null."""

    index: Count
    op: str
    name: str
    kernel: str
    macs: Count
    weight_bytes: Count
    latency_us: float | None = None
    instructions: float | None = None
    modelled_cycles: float | None = None


class Host(_Record):
    """The same samples on the host CPU. `cpu` is the host's model name."""

    runtime: str
    version: str
    threads: Annotated[int, Field(ge=1)]
    latency_us: HostDistribution
    cpu: str | None = None


Number = int | float | Literal["nan", "inf", "-inf"]  # JSON has no such floats


class FirstMismatch(_Record):
    """The first output element that differs: `index` is flat within the output."""

    sample: Count
    output: Count
    index: Count
    actual: Number
    expected: Number


class ParityRecord(_Record):
    """Device output against the oracle's, over all samples that were run.

    `tolerance` is 0 for integer outputs, which must be equal; floats may differ by tolerance * (1
    + |expected|). `max_abs_diff` is null when a float is not finite on one side only. The run
    passes when `first_mismatch` is null.
    """

    oracle: str
    samples: Count
    bytes: Count
    mismatched_bytes: Count
    max_abs_diff: float | None
    first_mismatch: FirstMismatch | None
    tolerance: float = 0.0


class Accuracy(_Record):
    """Share of the `n` labelled samples that are right; null where that side did not run."""

    metric: str
    n: Annotated[int, Field(ge=1)]
    device: Fraction | None
    host: Fraction | None
    oracle: Fraction | None = None


class SampleSet(_Record):
    """Which samples were asked for and which were run.

    `missing` holds half-open ranges [first, end) of sample numbers without a verified result; a run
    with missing samples is resumed with `edgepack bench --resume`.
    """

    origin: str
    sha256: str
    requested: Annotated[int, Field(ge=1)]
    done: Count
    missing: tuple[tuple[int, int], ...]

    @model_validator(mode="after")
    def _consistent(self) -> SampleSet:
        absent = sum(end - first for first, end in self.missing)
        if self.done + absent != self.requested:
            raise ValueError(f"{self.done} done and {absent} missing of {self.requested} requested")
        return self


class Failure(_Record):
    """Why a run stopped early: the error's kind (edgepack/errors.py) and message."""

    error: str
    message: str
    exit_code: int


class Interruption(_Record):
    """The device was lost and found again: why, and how many samples were done by then."""

    error: str
    message: str
    samples_done: Count


class PhoneState(_Record):
    """A phone at one moment; null is what it does not tell.

    `thermal_status` is Android's, 0 (none) to 6 (shutdown). `clock_khz`: of the core in use.
    """

    thermal_status: Count | None
    cpu_celsius: float | None
    battery_percent: Count | None
    battery_celsius: float | None
    charging: bool | None
    battery_saver: bool | None
    clock_khz: Count | None


class PhoneOp(_Record):
    """One operator as benchmark_model profiled it: its mean time per inference, in microseconds."""

    op: str
    name: str
    average_us: float
    calls: Count


class Phone(_Record):
    """A phone: what it is, how it was asked to measure, and what disturbed it.

    `program` is edgepack's own or TFLite's benchmark_model; `variant` says which kernels or
    delegate ran. `cpu_mask` has bit n for core n, null where the system chose. `latency_us`: timed
    inferences after `warmup_runs` others; null where the program tells no single times, or the
    phone is emulated. `peak_memory_kb` is that of the process. `average_us` is what benchmark_model
    states itself, `ops` what it profiled in a run of their own.
    """

    serial: str
    name: str
    soc: str
    android: str
    abi: str
    emulated: bool
    program: Literal["edgepack", "benchmark_model"]
    variant: str
    flags: tuple[str, ...] = ()
    threads: Annotated[int, Field(ge=1)] = 1
    cpu_mask: str | None
    governor: str | None
    latency_us: HostDistribution | None
    average_us: float | None = None
    deviation_us: float | None = None
    init_us: float | None = None
    first_us: float | None = None
    warmup_runs: Count
    peak_memory_kb: Count | None
    before: PhoneState
    after: PhoneState
    warnings: tuple[str, ...]
    ops: tuple[PhoneOp, ...] = ()


class RunReport(_Record):
    """run.json."""

    format: Literal[1] = RUN_FORMAT
    edgepack_version: str
    build_id: str
    runtime: Literal["c", "tflm", "tflite"]
    status: Literal["complete", "partial"]
    model: Model
    target: Target
    toolchain: Toolchain | None
    sizes: Sizes | None
    samples: SampleSet
    device: Device
    layers: tuple[Layer, ...]
    host: Host | None
    parity: ParityRecord | None
    accuracy: Accuracy | None
    failure: Failure | None = None
    interruptions: tuple[Interruption, ...] = ()
    phone: Phone | None = None

    @model_validator(mode="after")
    def _honest(self) -> RunReport:
        if self.target.kind == "emulated" and self.device.latency_us is not None:
            raise ValueError("an emulated target has no latency; its clock is not real")
        if self.phone is not None and self.phone.emulated and self.phone.latency_us is not None:
            raise ValueError("an emulated phone has no latency; its clock is not real")
        if (self.status == "complete") == bool(self.samples.missing):
            raise ValueError(f"status {self.status} contradicts the missing samples")
        return self


def read_run(path: Path) -> RunReport:
    """Read a run.json.

    Raises:
        DataError: it is missing, of another format, or damaged.
    """
    try:
        return RunReport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist", next_step=f"edgepack bench PROJECT --json {path}"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is no run.json of format {RUN_FORMAT}: {error}",
            next_step=f"edgepack bench PROJECT --json {path}",
        ) from error


def write_run(path: Path, report: RunReport) -> None:
    """Write a run.json; a reader sees the old file or the new one, never half of it.

    Raises:
        DataError: the file cannot be written.
    """
    text = json.dumps(report.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def json_schema() -> dict[str, Any]:
    """run.json as JSON Schema (draft 2020-12), the content of docs/run.schema.json."""
    schema = RunReport.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The text of docs/run.schema.json. Regenerate: `python -m edgepack.report.schema`."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    Path("docs/run.schema.json").write_text(schema_text(), encoding="utf-8")
