"""Checks of a `.keras` archive that need no Keras: its members, their sizes, and its layer classes.

A `.keras` file is a zip of `config.json`, `metadata.json` and `model.weights.h5` (Keras 3
documentation, "The Model.save format"). It is checked before Keras unpacks anything of it.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.handle import TRUSTED_STEP
from edgepack.models.unreadable import ZIP_ERRORS

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
MAX_MEMBERS = 1000
# Larger than any network for a microcontroller or phone by far, small enough not to fill a disk.
MAX_UNPACKED_BYTES = 4 * 2**30
MAX_CONFIG_BYTES = 64 * 2**20
# No layer of such a network has this many weights; a config that asks for it is a bomb.
MAX_LAYER_UNITS = 2**26
_UNIT_KEYS = ("units", "filters", "input_dim", "output_dim", "depth_multiplier")
_TRUSTED_MODULES = ("keras", "builtins")


@dataclass(frozen=True)
class ArchiveInfo:
    """What the archive's JSON says: the Keras version that wrote it and its layer classes."""

    keras_version: str
    layer_classes: tuple[str, ...]


def check_keras_archive(path: Path, *, trust_model_code: bool = False) -> ArchiveInfo:
    """Refuse a `.keras` file that is damaged or that could do harm when it is loaded.

    Args:
        path: the file.
        trust_model_code: let Lambda layers and custom classes pass.

    Raises:
        ModelError: it is missing, not such an archive, has a member outside it or one that is too
            large, or its configuration is not the JSON that Keras writes.
        UnsupportedError: it holds a Lambda layer or a custom class, which would run code of its
            author's.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist", allowed="the path of a .keras file")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            config = _json(path, archive, CONFIG)
            metadata = _json(path, archive, METADATA)
    except ZIP_ERRORS as error:
        raise ModelError(
            f"{path} is truncated or not a .keras archive: {error}",
            next_step="save it again with model.save('model.keras')",
        ) from error
    check_config(path, config, trust_model_code=trust_model_code)
    classes = sorted({str(entry["class_name"]) for entry in _class_entries(config)})
    return ArchiveInfo(str(metadata.get("keras_version", "unknown")), tuple(classes))


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise ModelError(f"{path} holds {len(members)} members", allowed=f"at most {MAX_MEMBERS}")
    names = [member.filename for member in members]
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
            raise ModelError(f"{path} holds a member outside the archive: {name!r}")
    if len(set(names)) != len(names):
        raise ModelError(f"{path} holds two members of one name")
    for needed in (CONFIG, METADATA, WEIGHTS):
        if needed not in names:
            raise ModelError(
                f"{path} is not a .keras archive: it has no {needed}",
                next_step="save it with model.save('model.keras')",
            )
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise ModelError(
            f"{path} would unpack to {unpacked} bytes", allowed=f"at most {MAX_UNPACKED_BYTES}"
        )


def _json(path: Path, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > MAX_CONFIG_BYTES:
        raise ModelError(f"{name} in {path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        data = json.loads(archive.read(name))
    except (ValueError, RecursionError, RuntimeError) as error:
        raise ModelError(f"{name} in {path} is not the JSON that Keras writes: {error}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{name} in {path} is not a JSON object")
    return data


def _class_entries(config: Any) -> Iterator[dict[str, Any]]:
    """Every object of the configuration that names a class, at any depth."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def check_config(path: Path, config: dict[str, Any], *, trust_model_code: bool = False) -> None:
    """Refuse a model's configuration that runs code or asks for impossible sizes.

    Raises:
        UnsupportedError: a Lambda layer or a custom class, unless trusted.
        ModelError: a layer or an input of an impossible size.
    """
    for entry in _class_entries(config):
        name, module = str(entry["class_name"]), entry.get("module")
        inner = entry.get("config")
        where = inner.get("name") if isinstance(inner, dict) else None
        known = module is None or str(module).split(".")[0] in _TRUSTED_MODULES
        if not trust_model_code and (name in ("Lambda", "__lambda__") or not known):
            raise UnsupportedError(
                f"{path} holds code of its author's: {name} {where or ''}".rstrip()
                + ("" if known else f" from module {module}"),
                allowed="models made of Keras's own layers only",
                next_step="rewrite that layer with Keras layers and save the model again, or, "
                + TRUSTED_STEP,
            )
        for key in _UNIT_KEYS:
            size = inner.get(key) if isinstance(inner, dict) else None
            if isinstance(size, int | float) and not 0 < size <= MAX_LAYER_UNITS:
                raise ModelError(
                    f"layer {where or name} of {path} asks for {key} = {size}",
                    allowed=f"1 to {MAX_LAYER_UNITS}",
                )
        _check_shape(path, entry)


def _check_shape(path: Path, entry: dict[str, Any]) -> None:
    inner = entry.get("config")
    if entry["class_name"] != "InputLayer" or not isinstance(inner, dict):
        return
    shape = inner.get("batch_shape") or inner.get("batch_input_shape") or []
    sizes = [size for size in shape if isinstance(size, int)]
    if any(size <= 0 for size in sizes) or math.prod(sizes) > MAX_LAYER_UNITS:
        raise ModelError(f"input {inner.get('name')} of {path} has shape {shape}")


def normalise(path: Path) -> None:
    """Rewrite a `.keras` file so that equal models are equal bytes.

    Keras writes the date of saving, and tells shared objects apart by their memory address.
    """
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members[METADATA])
    metadata["date_saved"] = "1980-01-01@00:00:00"  # the zip format's own epoch
    members[METADATA] = json.dumps(metadata, sort_keys=True).encode()
    numbers: dict[int, int] = {}
    config = json.loads(members[CONFIG], object_hook=lambda value: _renumber(value, numbers))
    members[CONFIG] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _renumber(value: dict[str, Any], numbers: dict[int, int]) -> dict[str, Any]:
    """Replace an object's address by the order in which it was first met."""
    address = value.get("shared_object_id")
    if isinstance(address, int):
        value["shared_object_id"] = numbers.setdefault(address, len(numbers))
    return value
