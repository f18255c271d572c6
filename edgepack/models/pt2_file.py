"""PyTorch `.pt2` files (torch.export.save): checked here, opened in a child process.

Such a file is a zip of JSON and raw weights, but torch.export.load unpickles parts of it where the
file says so, and evaluates expressions in it. What would run code that way is refused here, before
PyTorch sees the file, unless the user trusts its author.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.handle import TRUSTED_STEP, ModelFormat, ModelHandle
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_file import LOAD_SECONDS
from edgepack.models.unreadable import ZIP_ERRORS

MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 4 * 2**30
MAX_JSON_BYTES = 64 * 2**20
_NEXT = "export it again: torch.export.save(torch.export.export(model, inputs), 'model.pt2')"
# What torch.export.save writes for a network of plain operators (below the archive's own folder).
# Files with other names are read as pickles or as compiled libraries.
_MEMBER = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)"
    r"|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt"
)
# Operators without effects on anything but their outputs.
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed)\.\w+(\.\w+)?"
    r"|_operator\.(add|eq|floordiv|ge|getitem|gt|le|lt|mod|mul|ne|neg|sub|truediv)"
)


def check_pt2(path: Path, trust_model_code: bool = False) -> None:
    """Refuse a file that is damaged or that could do harm when it is loaded.

    Args:
        path: the file.
        trust_model_code: let pickles, symbolic shapes and custom operators pass.

    Raises:
        ModelError: it is missing, damaged, or has a member outside it or one that is too large.
        UnsupportedError: it holds what would run its author's code.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist", allowed="the path of a .pt2 file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = _check_members(path, archive.infolist())
            if "models/model.json" not in names:
                raise ModelError(f"{path} holds no models/model.json", next_step=_NEXT)
            if not trust_model_code:
                _check_harmless(path, archive, names)
    except ZIP_ERRORS as error:
        raise ModelError(
            f"{path} is truncated or not a .pt2 archive: {error}", next_step=_NEXT
        ) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> dict[str, str]:
    """Names without the archive's own folder -> names in the zip."""
    if len(members) > MAX_MEMBERS:
        raise ModelError(f"{path} holds {len(members)} members", allowed=f"at most {MAX_MEMBERS}")
    names: dict[str, str] = {}
    for member in members:
        name = member.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
            raise ModelError(f"{path} holds a member outside the archive: {name!r}")
        short = "/".join(parts[1:])
        if short in names:
            raise ModelError(f"{path} holds two members of the name {short}")
        names[short] = name
    if len({name.split("/")[0] for name in names.values()}) > 1:
        raise ModelError(f"{path} has more than one folder at its top", next_step=_NEXT)
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES:
        raise ModelError(
            f"{path} would unpack to {unpacked} bytes", allowed=f"at most {MAX_UNPACKED_BYTES}"
        )
    return names


def _check_harmless(path: Path, archive: zipfile.ZipFile, names: dict[str, str]) -> None:
    for short in names:
        if not _MEMBER.fullmatch(short):
            raise _untrusted(path, f"the member {short}, which PyTorch would unpickle or run")
    for short in names:
        if short.endswith(".json"):
            for value in _objects(_json(path, archive, names[short])):
                _check_object(path, value)


def _check_object(path: Path, value: dict[str, Any]) -> None:
    if value.get("use_pickle"):
        raise _untrusted(path, f"pickled weights ({value.get('path_name')})")
    if "expr_str" in value or "as_expr" in value:
        raise _untrusted(path, "a symbolic shape, whose formula PyTorch would evaluate as code")
    target = value.get("target")
    if {"target", "inputs", "outputs"} <= set(value) and (
        not isinstance(target, str) or not _TARGET.fullmatch(target)
    ):
        raise _untrusted(path, f"the operator {target!r}, which is not PyTorch's own")


def _untrusted(path: Path, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{path.name} holds {what}",
        allowed="raw weights, fixed shapes, PyTorch's own operators",
        next_step="export it with fixed shapes, torch.export.export(model, inputs) without "
        f"dynamic_shapes, or, {TRUSTED_STEP}",
    )


def _json(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > MAX_JSON_BYTES:
        raise ModelError(f"{name} in {path} is larger than {MAX_JSON_BYTES} bytes")
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError, RuntimeError) as error:
        raise ModelError(f"{name} in {path} is not JSON: {error}", next_step=_NEXT) from error


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def load_pt2(path: Path) -> ModelHandle:
    """Describe a `.pt2` file.

    Raises:
        ModelError: it is missing or damaged.
        UnsupportedError: it holds what would run its author's code.
        MissingToolError: PyTorch is not installed.
        ConversionError: the child that opened it crashed.
    """
    check_pt2(path)
    for package in ("torch", "onnxscript", "onnx"):
        require_package(package, extra="torch", why=f"to open {path.name}")
    task = Task(
        "edgepack.models.torch_child:describe_file",
        {"path": str(path.resolve())},
        what=f"loading {path.name}",
        timeout=LOAD_SECONDS,
        tensorflow=False,
    )
    return ModelHandle.from_description(path, ModelFormat.PT2, run_task(task))
