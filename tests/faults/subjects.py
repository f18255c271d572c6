"""What campaigns run: the stub model on the fake and in C, and a real network in QEMU."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from edgepack.bench.data import Samples, random_samples
from edgepack.bench.oracle import Oracle
from edgepack.manifest import LayerInfo, Manifest, ModelInfo, TensorInfo, write_manifest
from edgepack.pipeline.build import BuildRequest, build_project
from tests.faults.boards import FakeBoard, QemuBoard, StubBoard, Subject, stateful_layers
from tests.host import stub
from tests.host.test_bench_project import small_cnn
from tests.tflite_builder import ModelBuilder, spec

SAMPLES = 5
QEMU_SAMPLES = 20
QEMU_TARGET = "netduinoplus2"


def _tensor(name: str, size: int) -> TensorInfo:
    return TensorInfo(name=name, shape=(1, size), dtype="INT8", bytes=size)


def stub_project(folder: Path, *, stateful: bool) -> Path:
    """A project directory around the stub model, which no compiler has to make."""
    folder.mkdir()
    builder = ModelBuilder()
    x = builder.input("x", (1, 8), "INT8", 0.1, 0)
    builder.output(*builder.op("ADD", [x, x], [spec((1, 8), "INT8", 0.1, 0)]))
    model = builder.build()  # only asked whether it keeps state
    (folder / "model.tflite").write_bytes(model)
    outputs = tuple(_tensor(f"y{i}", size) for i, size in enumerate(stub.OUTPUTS))
    layers = tuple(
        LayerInfo(
            index=i, op="ADD", name=f"layer{i}", kernel="stub", macs=0, weight_bytes=0, outputs=out
        )
        for i, out in enumerate(((_tensor("m", sum(stub.INPUTS)),), outputs))
    )
    info = ModelInfo(
        name="stub",
        c_name="stub",
        sha256=hashlib.sha256(model).hexdigest(),
        macs=0,
        weights=0,
        weight_bytes=0,
        inputs=tuple(_tensor(f"x{i}", size) for i, size in enumerate(stub.INPUTS)),
        outputs=outputs,
        layers=layers,
        stateful=stateful,
    )
    manifest = Manifest(
        edgepack_version="0",
        build_id=stub.BUILD_ID,
        runtime="c",
        target="host",
        optimize="speed",
        model=info,
        arena_bytes=stub.ARENA,
        sources=(),
        include_dirs=(),
        defines=(),
    )
    write_manifest(folder, manifest)
    return folder


def _stub_samples() -> Samples:
    inputs = tuple(_tensor(f"x{i}", size) for i, size in enumerate(stub.INPUTS))
    return random_samples(inputs, SAMPLES, seed=7)


def fake_subject(folder: Path) -> Subject:
    """The shipped fake: everything about it is known, its figures included."""
    samples = _stub_samples()
    expected = tuple(b"".join(stub.compute(samples.payload(i))[-1]) for i in range(SAMPLES))
    project = stub_project(folder / "fake", stateful=False)
    return Subject("fake", project, samples, expected, FakeBoard, exact=(2000, 1000, 500, 64))


def stateful_subject(folder: Path) -> Subject:
    """The fake with a model that keeps state."""
    samples = _stub_samples()
    expected, total = [], 0
    for i in range(SAMPLES):
        data = samples.payload(i)
        total += sum(data)
        expected.append(b"".join(stateful_layers(stub.compute(data), total)[-1]))
    project = stub_project(folder / "stateful", stateful=True)
    return Subject(
        "stateful",
        project,
        samples,
        tuple(expected),
        lambda: FakeBoard(stateful=True),
        stateful=True,
        exact=(2000, 1000, 500, 64),
    )


def host_subject(folder: Path, program: Path | None = None) -> Subject:
    """The bench firmware's C as a process, under sanitizers."""
    samples = _stub_samples()
    expected = tuple(b"".join(stub.compute(samples.payload(i))[-1]) for i in range(SAMPLES))
    if program is None:
        (folder / "program").mkdir()
        program = stub.build(folder / "program")
    built = program
    project = stub_project(folder / "host", stateful=False)
    return Subject("host", project, samples, expected, lambda: StubBoard(built))


def qemu_subject(folder: Path) -> Subject:
    """A small network compiled for an emulated board; TFLM says what is right."""
    model = folder / "small.tflite"
    model.write_bytes(small_cnn())
    project = folder / "qemu"
    manifest = build_project(BuildRequest(model, QEMU_TARGET), project)
    samples = random_samples(manifest.model.inputs, QEMU_SAMPLES, seed=3)
    with Oracle(model.read_bytes()) as oracle:
        outputs = oracle.run(samples.inputs)
    expected = tuple(
        b"".join(np.ascontiguousarray(o[i]).tobytes() for o in outputs) for i in range(QEMU_SAMPLES)
    )
    return Subject("qemu", project, samples, expected, lambda: QemuBoard(project))


SUBJECTS = {
    "fake": fake_subject,
    "stateful": stateful_subject,
    "host": host_subject,
    "qemu": qemu_subject,
}
