"""Broken and hostile files of every format end in one clear error, never in a crash or a hang."""

from __future__ import annotations

import io
import json
import resource
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import ConversionError, EdgepackError, ModelError, UnsupportedError
from edgepack.models.isolate import Task, kept_child, run_task
from edgepack.models.load import load_model
from tests.convert.mutate import mutations
from tests.tflite_builder import ModelBuilder, spec

SECONDS = 300.0
FAST, SLOW = 40, 2000
OPTIONS = ConvertOptions(time_limit=60)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with one small network in every format."""
    folder = tmp_path_factory.mktemp("small")
    run_task(Task("tests.convert.tasks:save_small", {"out": str(folder)}, "saving", SECONDS))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


def outcomes(target: Path, model: Path, folder: Path, count: int, seed: int) -> Counter[str]:
    """Convert damaged copies: `target` is overwritten with each, `model` is what is converted."""
    good = target.read_bytes()
    found: Counter[str] = Counter()
    try:
        for data in mutations(good, count, seed):
            target.write_bytes(data)
            try:
                convert(model, folder, OPTIONS)
                found["converted"] += 1
            except EdgepackError as error:
                assert error.message and "\n  File" not in error.message
                found[type(error).__name__] += 1
    finally:
        target.write_bytes(good)
    convert(model, folder, OPTIONS)  # the child is as well as before
    return found


FILES = {
    "tflite": ("small.tflite", "small.tflite"),
    "keras": ("small.keras", "small.keras"),
    "h5": ("small.h5", "small.h5"),
    "graph": ("small/saved_model.pb", "small"),
    "variables": ("small/variables/variables.data-00000-of-00001", "small"),
    "index": ("small/variables/variables.index", "small"),
}


@pytest.mark.needs_tf
@pytest.mark.parametrize("name", FILES)
def test_damaged_files_end_in_an_error(name: str, small: Path, tmp_path: Path) -> None:
    target, model = FILES[name]
    count = FAST if name in ("tflite", "keras", "h5", "graph") else 10
    found = outcomes(small / target, small / model, tmp_path, count, seed=1)
    assert found.total() == count
    assert found["ModelError"] + found["UnsupportedError"] >= count // 4, found


@pytest.mark.needs_tf
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["tflite", "keras", "h5", "graph"])
def test_thousands_of_damaged_files(
    name: str, small: Path, tmp_path: Path, record_property: Any
) -> None:
    target, model = FILES[name]
    found = outcomes(small / target, small / model, tmp_path, SLOW, seed=2)
    assert found.total() == SLOW
    record_property("note", f"{SLOW} damaged {name} files: {dict(found)}")


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    for suffix in (".pt", ".pth", ".pkl", ".joblib"):
        path = tmp_path / f"model{suffix}"
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(UnsupportedError, match="pickle, which edgepack never loads"):
            convert(path, tmp_path / "out", OPTIONS)
        with pytest.raises(UnsupportedError, match="pickle"):
            load_model(path)
    assert not (tmp_path / "exploded").exists()


def test_a_tensor_of_100_gb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    model = ModelBuilder()
    shape = (1, 160, 163_840, 1024)
    x = model.input("x", shape, "FLOAT32")
    model.output(model.op("RELU", [x], [spec(shape, "FLOAT32")])[0])
    path = tmp_path / "huge.tflite"
    path.write_bytes(model.build())
    started = time.monotonic()
    with pytest.raises(UnsupportedError, match="26,843,545,600 elements"):
        convert(path, tmp_path / "out", OPTIONS)
    assert time.monotonic() - started < 30


@pytest.mark.needs_tf
def test_a_keras_layer_of_100_gb_is_refused_before_memory_is_taken(
    small: Path, tmp_path: Path
) -> None:
    path = tmp_path / "huge.keras"
    with zipfile.ZipFile(small / "small.keras") as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = json.loads(data)
                for layer in config["config"]["layers"]:
                    if layer["class_name"] == "Dense":
                        layer["config"]["units"] = 2**26  # 48 inputs each: 12.9 GB
                data = json.dumps(config).encode()
            target.writestr(name, data)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises((ModelError, ConversionError)):
        convert(path, tmp_path / "out", ConvertOptions(time_limit=120, memory_limit=4096))
    # the child is kept, so this counts earlier ones only: none of them may have grown either
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before < 4 * 2**20


@pytest.mark.needs_tf
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_runs_only_when_trusted(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"lambda{suffix}"
    body = "layers.Dense(2)(layers.Lambda(lambda t: t * 2.0, name='twice')(x))"
    arguments = {"expression": body, "shape": [1, 4], "out": str(path)}
    run_task(Task("tests.convert.tasks:save_layer", arguments, "saving", SECONDS))
    with pytest.raises(UnsupportedError, match="holds code of its author's") as caught:
        convert(path, tmp_path / "out", OPTIONS)
    assert "--trust-model-code" in (caught.value.next_step or "")
    done = convert(path, tmp_path / "out", ConvertOptions(trust_model_code=True))
    assert done.parity[0].max_relative < 1e-5


@pytest.mark.needs_tf
def test_a_graph_that_reads_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reader"
    run_task(Task("tests.convert.tasks:save_reader", {"out": str(path)}, "saving", SECONDS))
    with pytest.raises(UnsupportedError, match=r"touches files .*ReadFile"):
        convert(path, tmp_path / "out", OPTIONS)


@pytest.mark.needs_tf
def test_h5_links_outside_the_file_are_refused(small: Path, tmp_path: Path) -> None:
    import h5py

    for name in ("external", "virtual", "soft"):
        path = tmp_path / f"{name}.h5"
        path.write_bytes((small / "small.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            if name == "external":
                file["model_weights/other"] = h5py.ExternalLink("/etc/passwd", "/")
            elif name == "soft":
                file["model_weights/other"] = h5py.SoftLink("/nowhere")
            else:
                space = [("/etc/hostname", 0, 4)]
                file.create_dataset("model_weights/other", (4,), np.uint8, external=space)
        with pytest.raises(ModelError, match=r"links from|in another file"):
            convert(path, tmp_path / "out", OPTIONS)


def test_a_saved_model_that_links_outside_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "variables" / "variables.index").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="links to a file outside it"):
        convert(folder, tmp_path / "out", OPTIONS)


def test_members_outside_a_keras_archive_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5", "../outside"):
            archive.writestr(name, "{}")
    path = tmp_path / "m.keras"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="outside the archive"):
        convert(path, tmp_path / "out", OPTIONS)
