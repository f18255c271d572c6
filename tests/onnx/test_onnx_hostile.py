"""Broken and hostile ONNX and PyTorch files end in one clear error."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="pip install 'edgepack[onnx]'")

import onnx

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import EdgepackError, ModelError, UnsupportedError
from edgepack.models.isolate import kept_child
from edgepack.models.load import load_model
from edgepack.models.pt2_file import check_pt2
from tests.convert.mutate import mutations
from tests.onnx.models import Graph

FAST, SLOW = 40, 2000


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


def small(path: Path) -> Path:
    g = Graph()
    g.node("Relu", [g.conv("x", "c", (2, 3, 3))], "y")
    return g.save(path, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 6, 6]})


def outcomes(folder: Path, count: int, seed: int) -> Counter[str]:
    path = small(folder / "model.onnx")
    good = path.read_bytes()
    found: Counter[str] = Counter()
    for data in mutations(good, count, seed):
        path.write_bytes(data)
        try:
            convert(path, folder / "out", ConvertOptions(time_limit=60))
            found["converted"] += 1
        except EdgepackError as error:
            assert error.message and "\n  File" not in error.message
            found[type(error).__name__] += 1
    path.write_bytes(good)
    convert(path, folder / "out", ConvertOptions())  # the child is as well as before
    return found


@pytest.mark.needs_tf
def test_damaged_files_end_in_an_error(tmp_path: Path) -> None:
    found = outcomes(tmp_path, FAST, seed=1)
    assert found.total() == FAST
    assert found["ModelError"] >= FAST // 4, found


@pytest.mark.needs_tf
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_damaged_files(tmp_path: Path, record_property: Any) -> None:
    found = outcomes(tmp_path, SLOW, seed=2)
    assert found.total() == SLOW
    record_property("note", f"{SLOW} damaged ONNX files: {dict(found)}")


def outside(folder: Path, location: str) -> Path:
    """A model whose weights are said to be in another file."""
    path = small(folder / "model.onnx")
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == "c_w")
    raw = onnx.numpy_helper.to_array(tensor).tobytes()
    (folder / "weights.bin").write_bytes(raw)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    assert load_model(outside(tmp_path, "weights.bin")).parameters == 2 * 3 * 9 + 3


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin", "c:\\weights", ""]
)
def test_weights_outside_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(2 * 3 * 9 * 4))
    with pytest.raises(ModelError, match="keeps c_w in"):
        load_model(outside(folder, location))


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="which is a link"):
        load_model(outside(tmp_path, "link.bin"))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"other\.bin, which is not beside it"):
        load_model(outside(tmp_path, "other.bin"))


def test_a_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = outside(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"1234")
    with pytest.raises(ModelError, match="has 4 bytes, its shape asks for 216"):
        load_model(path)


def test_a_tensor_of_100_gb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = small(tmp_path / "model.onnx")
    model = onnx.load(path)
    next(t for t in model.graph.initializer if t.name == "c_w").dims[0] = 10**9
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="18,000,000,000 elements"):
        load_model(path)
    g = Graph()
    shape = g.constant("shape", np.array([1, 160, 163_840, 1024], np.int64))
    g.node("Expand", ["x", shape], "y")
    huge = g.save(tmp_path / "huge.onnx", {"x": [1]}, {"y": [1, 160, 163_840, 1024]})
    if pytest.importorskip("onnx2tf"):
        with pytest.raises(UnsupportedError, match="26,843,545,600 elements"):
            convert(huge, tmp_path / "out", ConvertOptions())


PROGRAM: dict[str, Any] = {"graph_module": {"graph": {"nodes": []}}}


def archive(path: Path, **members: Any) -> Path:
    """A zip as torch.export.save writes it, with these members added."""
    found = {
        "archive_format": b"pt2",
        "models/model.json": PROGRAM,
        "data/weights/model_weights_config.json": {"config": {}},
        "data/constants/model_constants_config.json": {"config": {}},
        "data/sample_inputs/model.pt": b"",
        **members,
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, value in found.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            file.writestr(name if name.startswith("..") else f"model/{name}", data)
    return path


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("exploded",))


def node(target: str) -> dict[str, Any]:
    return {"target": target, "inputs": [], "outputs": []}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "object": ({"data/constants/custom_obj_0": pickle.dumps(Bomb())}, "custom_obj_0, which"),
    "opaque": ({"data/constants/opaque_obj_0": pickle.dumps(Bomb())}, "opaque_obj_0, which"),
    "library": ({"data/aotinductor/model/a.so": b""}, "would unpickle or run"),
    "legacy": ({"data/weights/model.pt": pickle.dumps(Bomb())}, "would unpickle or run"),
    "weights": (
        {
            "data/weights/model_weights_config.json": {
                "config": {"w": {"path_name": "weight_0", "use_pickle": True}}
            }
        },
        "pickled weights",
    ),
    "formula": ({"models/model.json": {"size": {"as_expr": {"expr_str": "f()"}}}}, "formula"),
    "operator": ({"models/model.json": {"nodes": [node("torch.hub.load")]}}, r"torch\.hub\.load"),
    "system": ({"models/model.json": {"nodes": [node("_operator.call")]}}, r"_operator\.call"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_programs_that_would_run_code_need_trust(name: str, tmp_path: Path) -> None:
    members, message = HOSTILE[name]
    path = archive(tmp_path / "model.pt2", **members)
    with pytest.raises(UnsupportedError, match=message) as caught:
        check_pt2(path)
    assert "--trust-model-code" in (caught.value.next_step or "")
    check_pt2(path, trust_model_code=True)


def test_an_ordinary_program_passes(tmp_path: Path) -> None:
    program = {"nodes": [node("torch.ops.aten.conv2d.default"), node("_operator.getitem")]}
    check_pt2(archive(tmp_path / "model.pt2", **{"models/model.json": program}))


def test_programs_with_odd_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="outside the archive"):
        check_pt2(archive(tmp_path / "up.pt2", **{"../evil": b"x"}))
    (tmp_path / "none.pt2").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ModelError, match=r"not a \.pt2 archive"):
        check_pt2(tmp_path / "none.pt2")


def test_damaged_programs_end_in_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.pt2")
    good = path.read_bytes()
    for data in mutations(good, FAST, 1):
        path.write_bytes(data)
        try:
            check_pt2(path)
        except EdgepackError as error:
            assert error.message
