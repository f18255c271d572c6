"""A benchmark run against a device that is played by TFLM itself, with faults where asked."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.bench.assemble import Counter, CounterKind, DeviceFacts, missing_ranges
from edgepack.bench.data import Samples, load_samples, random_samples
from edgepack.bench.device import Device, Job
from edgepack.bench.device_run import RunOptions
from edgepack.bench.journal import Journal, JournalKey, SampleResult, journal_path
from edgepack.bench.run import bench_project
from edgepack.errors import DeviceLostError, EdgepackError, ParityError, PortError
from edgepack.manifest import LayerInfo, Manifest, ModelInfo, Sizes, TensorInfo, write_manifest
from edgepack.report.schema import RunReport, Target, read_run
from edgepack.types import Array
from tests.oracles import run_tflm_sequence
from tests.tflite_builder import ModelBuilder, spec

pytestmark = pytest.mark.needs_oracle

INPUT = TensorInfo(name="x", shape=(1, 8), dtype="INT8", bytes=8, scale=0.1, zero_point=0)
OUTPUT = TensorInfo(name="y", shape=(1, 8), dtype="INT8", bytes=8, scale=0.1, zero_point=0)
EMULATED = Target(
    id="board", cpu="cortex-m4", clock_hz=10_000_000, kind="emulated", verified="emulated"
)


def _model(*, stateful: bool = False) -> bytes:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "INT8", 0.1, 0)
    other = x
    if stateful:
        handle = m.resource("sum")
        (other,) = m.op("READ_VARIABLE", [handle], [spec((1, 8), "INT8", 0.1, 0)])
    (y,) = m.op("ADD", [x, other], [spec((1, 8), "INT8", 0.1, 0)])
    if stateful:
        m.op("ASSIGN_VARIABLE", [handle, y], [])
    m.output(y)
    return m.build()


def make_project(folder: Path, model: bytes) -> Path:
    folder.mkdir()
    (folder / "model.tflite").write_bytes(model)
    layer = LayerInfo(
        index=0, op="ADD", name="y", kernel="ep_add_s8", macs=0, weight_bytes=0, outputs=(OUTPUT,)
    )
    info = ModelInfo(
        name="adder", c_name="adder", sha256=hashlib.sha256(model).hexdigest(), macs=100,
        weights=0, weight_bytes=0, inputs=(INPUT,), outputs=(OUTPUT,), layers=(layer,),
    )  # fmt: skip
    sizes = Sizes(
        flash_total=5000, flash_code=4000, flash_weights=800, flash_tables=200, ram_total=3000,
        ram_arena=64, ram_static=936, ram_stack_reserved=2000,
    )  # fmt: skip
    manifest = Manifest(
        edgepack_version="0", build_id="00112233aabbccdd", runtime="c", target="board",
        optimize="speed", model=info, arena_bytes=64, sources=(), include_dirs=(), defines=(),
        sizes=sizes,
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


class TflmDevice:
    """Computes with TFLM. `spoil` changes output bytes; `lose_at` ends the link at that sample."""

    def __init__(
        self,
        model: bytes,
        *,
        counter: Counter | None = None,
        spoil: Callable[[int, bytes], bytes] = lambda index, data: data,
        lose_at: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        self.model, self.spoil, self.lose_at = model, spoil, lose_at
        self.error = error or DeviceLostError("the board went away")
        self.counter = counter or Counter("instructions", 10_000_000)
        self.ran: list[int] = []
        self.closed = False

    def run(self, jobs: Iterable[Job]) -> Iterator[SampleResult]:
        todo = list(jobs)
        steps = [[np.frombuffer(j.payload, np.int8).reshape(1, 8)] for j in todo]
        outputs = run_tflm_sequence(self.model, steps) if steps else []
        for job, output in zip(todo, outputs, strict=True):
            if job.index == self.lose_at:
                raise self.error
            self.ran.append(job.index)
            yield SampleResult(job.index, self.spoil(job.index, output[0].tobytes()), 500)

    def facts(self) -> DeviceFacts:
        return DeviceFacts(stack_peak=616, arena_peak=64, layer_ticks=[480.0])

    @contextlib.contextmanager
    def connect(self) -> Iterator[Device]:
        try:
            yield self
        finally:
            self.closed = True


@pytest.fixture
def model() -> bytes:
    return _model()


@pytest.fixture
def project(tmp_path: Path, model: bytes) -> Path:
    return make_project(tmp_path / "project", model)


def _bench(project: Path, samples: Samples, device: TflmDevice, **options: Any) -> RunReport:
    given = RunOptions(project / "run.json", **{"host": False, **options})
    return bench_project(project, samples, device.connect, EMULATED, given)


def test_a_whole_run_is_reported(project: Path, model: bytes, tmp_path: Path) -> None:
    samples = random_samples([INPUT], 30)
    device = TflmDevice(model)
    seen: list[tuple[str, float | None]] = []
    outputs = tmp_path / "Y.npz"

    def note(stage: str, fraction: float | None, message: str) -> None:
        seen.append((stage, fraction))

    report = bench_project(
        project, samples, device.connect, EMULATED,
        RunOptions(project / "run.json", save_outputs=outputs),
        note,
    )  # fmt: skip
    assert report == read_run(project / "run.json")
    assert report.status == "complete" and report.samples.missing == ()
    assert report.parity is not None and report.parity.mismatched_bytes == 0
    assert report.parity.bytes == 240 and report.parity.oracle.startswith("tflite-micro ")
    assert report.device.latency_us is None
    assert report.device.instructions is not None
    assert report.device.instructions.median == 500 and report.device.instructions.n == 30
    assert report.device.arena_peak_bytes == 64
    assert report.layers[0].instructions == 480 and report.layers[0].latency_us is None
    assert report.sizes is not None and report.sizes.ram_bytes.stack_peak == 616
    assert report.host is not None and report.host.latency_us.n == 100
    assert report.accuracy is None and report.failure is None
    assert {("device", 1.0), ("oracle", 1.0), ("host", 1.0)} <= set(seen)
    with np.load(outputs) as saved:
        np.testing.assert_array_equal(
            saved["output_0"], np.clip(samples.inputs[0].astype(int) * 2, -128, 127)
        )
    assert device.closed and not journal_path(project / "run.json").exists()


def test_hardware_ticks_become_a_latency(project: Path, model: bytes) -> None:
    board = EMULATED.model_copy(update={"kind": "hardware", "verified": "hardware"})
    device = TflmDevice(model, counter=Counter("cycles", 100_000_000))
    options = RunOptions(project / "run.json", host=False)
    report = bench_project(project, random_samples([INPUT], 3), device.connect, board, options)
    assert report.device.latency_us is not None and report.device.latency_us.median == 5.0
    assert report.device.instructions is None and report.layers[0].latency_us == 4.8


def test_an_emulators_clock_is_not_reported_at_all(project: Path, model: bytes) -> None:
    kinds: tuple[CounterKind, ...] = ("time", "cycles")
    for kind in kinds:
        device = TflmDevice(model, counter=Counter(kind, 1_000_000))
        report = _bench(project, random_samples([INPUT], 3), device)
        assert report.device.latency_us is None and report.device.instructions is None


def test_one_wrong_byte_fails_after_the_report_is_written(project: Path, model: bytes) -> None:
    def spoil(index: int, data: bytes) -> bytes:
        return data if index != 17 else data[:5] + bytes([data[5] ^ 1]) + data[6:]

    with pytest.raises(ParityError, match="first at sample 17, output 0, element 5") as caught:
        _bench(project, random_samples([INPUT], 30), TflmDevice(model, spoil=spoil))
    assert caught.value.exit_code == 16
    report = read_run(project / "run.json")
    assert report.parity is not None and report.parity.mismatched_bytes == 1
    assert report.parity.max_abs_diff == 1 and report.status == "complete"


def test_a_lost_device_leaves_a_report_that_resume_completes(project: Path, model: bytes) -> None:
    samples = random_samples([INPUT], 30)
    with pytest.raises(DeviceLostError):
        _bench(project, samples, TflmDevice(model, lose_at=12))
    partial = read_run(project / "run.json")
    assert partial.status == "partial" and partial.samples.missing == ((12, 30),)
    assert partial.parity is not None and partial.parity.samples == 12
    assert partial.failure is not None and partial.failure.exit_code == 13

    second = TflmDevice(model)
    report = _bench(project, samples, second, resume=True)
    assert second.ran == list(range(12, 30))
    assert report.status == "complete" and report.parity is not None
    assert report.parity.samples == 30 and report.parity.mismatched_bytes == 0
    assert report.device.instructions is not None and report.device.instructions.n == 30


def test_resume_takes_nothing_from_another_run(project: Path, model: bytes) -> None:
    with pytest.raises(DeviceLostError):
        _bench(project, random_samples([INPUT], 30), TflmDevice(model, lose_at=12))
    device = TflmDevice(model)
    report = _bench(project, random_samples([INPUT], 30, seed=1), device, resume=True)
    assert device.ran == list(range(30)) and report.parity is not None
    assert report.parity.mismatched_bytes == 0


def test_a_stateful_model_is_never_continued_in_the_middle(tmp_path: Path) -> None:
    model = _model(stateful=True)
    project = make_project(tmp_path / "project", model)
    samples = random_samples([INPUT], 10)
    with pytest.raises(DeviceLostError):
        _bench(project, samples, TflmDevice(model, lose_at=4))
    device = TflmDevice(model)
    report = _bench(project, samples, device, resume=True)
    assert device.ran == list(range(10))
    assert report.parity is not None and report.parity.mismatched_bytes == 0


def test_an_interrupt_leaves_a_report_too(project: Path, model: bytes) -> None:
    device = TflmDevice(model, lose_at=5, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _bench(project, random_samples([INPUT], 30), device)
    report = read_run(project / "run.json")
    assert report.samples.done == 5 and report.failure is not None
    assert report.failure.message == "interrupted" and device.closed


def test_a_mistake_of_ours_keeps_the_journal(project: Path, model: bytes) -> None:
    device = TflmDevice(model, lose_at=5, error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        _bench(project, random_samples([INPUT], 30), device)
    assert read_run(project / "run.json").status == "partial"
    assert len(journal_path(project / "run.json").read_text().splitlines()) == 1 + 5


def test_a_port_that_does_not_open_leaves_an_old_report_alone(project: Path, model: bytes) -> None:
    _bench(project, random_samples([INPUT], 3), TflmDevice(model))
    before = (project / "run.json").read_bytes()

    def refuse() -> contextlib.AbstractContextManager[Device]:
        raise PortError("no such port")

    with pytest.raises(PortError):
        options = RunOptions(project / "run.json")
        bench_project(project, random_samples([INPUT], 3), refuse, EMULATED, options)
    assert (project / "run.json").read_bytes() == before


def test_labels_give_an_accuracy_for_every_side(
    project: Path, model: bytes, tmp_path: Path
) -> None:
    x: Array = np.eye(8, dtype=np.int8)[[0, 3, 5, 7]] * 50
    np.savez(tmp_path / "d.npz", allow_pickle=False, x=x, y=np.array([0, 3, 5, 6]))
    samples = load_samples(tmp_path / "d.npz", [INPUT])
    report = _bench(project, samples, TflmDevice(model), host=True)
    accuracy = report.accuracy
    assert accuracy is not None and (accuracy.metric, accuracy.n) == ("top-1", 4)
    assert (accuracy.device, accuracy.host, accuracy.oracle) == (0.75, 0.75, 0.75)


def test_a_refused_model_keeps_the_results_of_the_device(project: Path, model: bytes) -> None:
    (project / "model.tflite").write_bytes(_sign_model())
    with pytest.raises(EdgepackError, match="refused the model"):
        _bench(project, random_samples([INPUT], 3), TflmDevice(model))
    report = read_run(project / "run.json")
    assert report.samples.done == 3 and report.parity is None
    assert report.failure is not None and report.failure.error == "interpreter_refusal"


def _sign_model() -> bytes:
    m = ModelBuilder()
    m.output(*m.op("SIGN", [m.input("x", (1, 8), "FLOAT32")], [spec((1, 8), "FLOAT32")]))
    return m.build()


def test_missing_samples_are_ranges() -> None:
    assert missing_ranges([], 3) == ((0, 3),)
    assert missing_ranges([0, 1, 2], 3) == ()
    assert missing_ranges([1, 2, 5], 8) == ((0, 1), (3, 5), (6, 8))


def test_a_journal_that_was_cut_anywhere_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    key = JournalKey("build", "samples", "time/1")
    results = [SampleResult(i, bytes([i, 255]), 100 + i) for i in range(3)]
    with Journal(path, key, resume=False) as journal:
        for result in results:
            journal.add(result)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with Journal(path, key, resume=True) as journal:
            # the last line may have lost nothing but its end of line
            complete = max(whole[: length + 1].count(b"\n") - 1, 0)
            assert list(journal.results.values()) == results[:complete]
            journal.add(results[0])
        with Journal(path, key, resume=True) as journal:
            assert results[0] in journal.results.values()
