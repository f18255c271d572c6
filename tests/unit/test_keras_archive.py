"""Hostile and broken `.keras` archives are refused before Keras sees them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models import keras_archive
from edgepack.models.keras_archive import check_keras_archive, normalise

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"name": "out", "units": 10},
    "shared_object_id": 140_000_000_001,
}
INPUT = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 8]}}


def write(path: Path, *layers: dict[str, Any], extra: dict[str, bytes] | None = None) -> Path:
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}
    metadata = {"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}
    members = {
        "config.json": json.dumps(model).encode(),
        "metadata.json": json.dumps(metadata).encode(),
        "model.weights.h5": b"weights",
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_good_archive_passes(tmp_path: Path) -> None:
    info = check_keras_archive(write(tmp_path / "m.keras", INPUT, DENSE))
    assert info.keras_version == "3.15.1"
    assert info.layer_classes == ("Dense", "InputLayer", "Sequential")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_members_outside_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "m.keras", DENSE, extra={name: b"x"})
    with pytest.raises(ModelError, match="outside the archive"):
        check_keras_archive(path)


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "m.keras", DENSE, extra={"assets/big": bytes(100_000)})
    check_keras_archive(path)
    monkeypatch.setattr(keras_archive, "MAX_UNPACKED_BYTES", 50_000)
    with pytest.raises(ModelError, match="unpack to"):
        check_keras_archive(path)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    many = {f"assets/{index}": b"" for index in range(keras_archive.MAX_MEMBERS)}
    with pytest.raises(ModelError, match="members"):
        check_keras_archive(write(tmp_path / "m.keras", DENSE, extra=many))


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l"}},
        {"module": "evil.layers", "class_name": "Dense", "config": {"name": "l"}},
        {
            "module": "keras.layers",
            "class_name": "TimeDistributed",
            "config": {"layer": {"class_name": "__lambda__", "config": {"value": "b64"}}},
        },
    ],
)
def test_code_in_a_model_is_refused(tmp_path: Path, layer: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="code of its author's"):
        check_keras_archive(write(tmp_path / "m.keras", layer))


@pytest.mark.parametrize("units", [10**12, 0, -1])
def test_impossible_layer_sizes_are_refused(tmp_path: Path, units: int) -> None:
    layer = {**DENSE, "config": {"name": "big", "units": units}}
    with pytest.raises(ModelError, match=f"layer big of .* asks for units = {units}"):
        check_keras_archive(write(tmp_path / "m.keras", layer))


def test_a_huge_input_is_refused(tmp_path: Path) -> None:
    huge = {**INPUT, "config": {"name": "x", "batch_shape": [None, 100_000, 100_000]}}
    with pytest.raises(ModelError, match=r"input x of .* has shape"):
        check_keras_archive(write(tmp_path / "m.keras", huge))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "m.keras", INPUT, DENSE).read_bytes()
    path = tmp_path / "cut.keras"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError):
            check_keras_archive(path)


def test_a_missing_member_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(ModelError, match="does not exist"):
        check_keras_archive(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"has no metadata\.json"):
        check_keras_archive(path)


def test_normalise_makes_equal_models_equal_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "a.keras", {**DENSE, "shared_object_id": 140_111})
    second = write(tmp_path / "b.keras", {**DENSE, "shared_object_id": 140_222})
    assert first.read_bytes() != second.read_bytes()
    normalise(first)
    normalise(second)
    assert first.read_bytes() == second.read_bytes()
    check_keras_archive(first)
    with zipfile.ZipFile(first) as archive:
        assert archive.read("model.weights.h5") == b"weights"
