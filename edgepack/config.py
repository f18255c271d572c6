"""edgepack.toml: what `edgepack run` does, in one file. docs/config.md describes every key."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from edgepack.compress.grid import without_sweep
from edgepack.compress.methods import METHODS, Step
from edgepack.errors import ConfigError
from edgepack.models.entry import is_entry
from edgepack.quantize.recipe import QuantizeRecipe

CONFIG_NAME = "edgepack.toml"

Runtime = Literal["c", "tflm"]
Optimize = Literal["speed", "size", "ram", "balanced"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(_Section):
    """`[model]`: where the network comes from.

    Attributes:
        source: a model file (docs/convert.md), or a function of the user's own that builds and
            trains one, such as `train:build_and_train` (edgepack/models/entry.py).
        name: what the firmware and the reports call it; by default the name of the folder for a
            function, and the file's stem for a file.
        seed: what a training function's random choices are drawn from.
        fallback: an integer .tflite to start from where TensorFlow is not installed; training,
            compression and quantization are then left out, and the result says so.
    """

    source: str = Field(min_length=1)
    name: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    seed: int = Field(default=0, ge=0, strict=True)
    fallback: str | None = None


class DataSection(_Section):
    """`[data]`: samples and labels to train, calibrate and evaluate with.

    Attributes:
        source: an .npz file, or a function that returns the data (edgepack/models/dataset.py).
        fallback: an .npz file for where the packages that the function needs are not installed.
    """

    source: str = Field(min_length=1)
    fallback: str | None = None


class BuildSection(_Section):
    """`[build]`: what is built, and for which boards.

    Attributes:
        targets: names that `edgepack targets` lists.
        runtime: c is edgepack's own generated C, tflm is TFLite Micro.
        tflm: for runtime tflm, the folder of the user's TensorFlow Lite Micro; by default
            $EDGEPACK_TFLM.
        tflm_arena: for runtime tflm, bytes of its arena; by default an estimate.
        optimize: what to prefer where kernels differ.
        toolchain: what compiles for boards; auto takes the first installed of gcc, clang and zig.
        out: the folder in which each target gets a project directory.
    """

    targets: tuple[str, ...] = Field(min_length=1)
    runtime: Runtime = "c"
    tflm: str | None = None
    tflm_arena: int | None = Field(default=None, ge=1024, strict=True)
    optimize: Optimize = "balanced"
    toolchain: Literal["auto", "gcc", "clang", "zig"] = "auto"
    out: str = "build"

    @model_validator(mode="before")
    @classmethod
    def _accept_one_target(cls, values: Any) -> Any:
        """`target = "x"` is short for `targets = ["x"]`."""
        if isinstance(values, dict) and "target" in values and "targets" not in values:
            values = {**values, "targets": [values["target"]]}
            del values["target"]
        if isinstance(values, dict) and isinstance(values.get("targets"), list):
            values = {**values, "targets": tuple(values["targets"])}
        return values


class BenchSection(_Section):
    """`[bench]`: what is run on the device.

    Attributes:
        data: samples and, as y, labels, in an .npz of their own; without it the test split of
            `[data]`, and without that seeded random inputs.
        samples: how many of them to run; by default all, or 10 random ones.
        emulator: what plays an emulated board; auto takes QEMU where it is installed, else unicorn.
    """

    data: str | None = None
    samples: int | None = Field(default=None, ge=1, strict=True)
    emulator: Literal["auto", "qemu", "unicorn"] = "auto"


class DeviceSection(_Section):
    """`[[devices]]`: where a board is attached.

    Attributes:
        target: one of `[build] targets`.
        port: what `edgepack bench --port` takes; an emulated board needs none.
    """

    target: str
    port: str | None = None


class Config(_Section):
    """A whole edgepack.toml; `folder` is where it lies, and every path in it starts there."""

    model: ModelSection
    data: DataSection | None = None
    compress: tuple[Step, ...] = ()
    quantize: QuantizeRecipe | None = None
    build: BuildSection
    bench: BenchSection = BenchSection()
    devices: tuple[DeviceSection, ...] = ()
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("compress", mode="before")
    @classmethod
    def _as_one_recipe(cls, tables: Any) -> Any:
        """What `edgepack compress --sweep` tries besides is no matter of a run."""
        return without_sweep(tables) if isinstance(tables, list | tuple) else tables

    @model_validator(mode="after")
    def _complete(self) -> Config:
        if self.model.source.endswith(".tflite") and self.compress:
            raise ValueError("a .tflite model cannot be trained any further: remove [[compress]]")
        if self.data is None and (self.compress or self.quantize):
            raise ValueError("[[compress]] and [quantize] need samples: add [data] source")
        for device in self.devices:
            if device.target not in self.build.targets:
                raise ValueError(f"[[devices]] target {device.target} is not in [build] targets")
        return self

    def port_of(self, target: str) -> str | None:
        """The port of the first device with this target that has one."""
        ports = (d.port for d in self.devices if d.target == target)
        return next((port for port in ports if port is not None), None)

    @property
    def name(self) -> str:
        """What the model is called."""
        if self.model.name is not None:
            return self.model.name
        if is_entry(self.model.source):
            return self.folder.name
        return Path(self.model.source).stem


def load_config(path: Path) -> Config:
    """Read and check an edgepack.toml, or the one in a folder.

    Raises:
        ConfigError: it is missing, not TOML, or holds a key or value that is not allowed; the error
            names the key, what was got and what is allowed.
    """
    if path.is_dir():
        path = path / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist", next_step="edgepack run examples/digits/edgepack.toml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    if "folder" in document:
        raise _unknown_key(path, ("folder",), document["folder"])
    try:
        return Config.model_validate({**document, "folder": path.parent.resolve()})
    except ValidationError as error:
        raise _explain(path, error) from error


def _explain(path: Path, error: ValidationError) -> ConfigError:
    """The first problem, in terms of the file; a wrong method before the keys it would have."""
    found = error.errors(include_url=False)
    first = next((e for e in found if e["loc"][-1:] == ("method",)), found[0])
    location, got, kind = first["loc"], first["input"], first["type"]
    context = first.get("ctx", {})
    if not location:
        return ConfigError(f"{path}: {context.get('error', first['msg'])}")
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return _unknown_key(path, location, got)
    if kind == "union_tag_invalid":
        location, got = (*location, "method"), context["tag"]
    if kind == "union_tag_not_found":
        location = (*location, "method")
    key = _dotted(location)
    if kind in ("missing", "union_tag_not_found"):
        return ConfigError(
            f"{path}: {key} is missing",
            allowed=", ".join(METHODS) if kind != "missing" else _allowed_at(location),
            next_step=f"add it to {path}",
        )
    allowed = context.get("expected_tags") or context.get("expected") or context.get("error")
    return ConfigError(
        f"{path}: {key} = {got!r} is not allowed",
        allowed=str(allowed or first["msg"].removeprefix("Input should be ")),
        next_step=f"edit {key} in {path}",
    )


def _unknown_key(path: Path, location: tuple[int | str, ...], got: Any) -> ConfigError:
    known = _keys_of(location[:-1])
    near = difflib.get_close_matches(str(location[-1]), known, 1)
    hint = f"rename it to {near[0]}" if near else f"remove it from {path}"
    return ConfigError(
        f"{path}: there is no key {_dotted(location)} (got {got!r})",
        allowed=", ".join(known),
        next_step=hint,
    )


def _dotted(location: tuple[int | str, ...]) -> str:
    """`compress[0].sparsity`; the method's name that pydantic puts in between is left out."""
    text = ""
    for index, part in enumerate(location):
        if index == 2 and location[0] == "compress" and part in METHODS:
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _schema_at(location: tuple[int | str, ...]) -> dict[str, Any]:
    """The JSON Schema of the value at a location; empty where the schema knows of none."""
    root = TypeAdapter(Config).json_schema()
    here = root
    for part in location:
        if isinstance(part, int):
            here = here.get("items", {})
        elif "discriminator" in here and part in METHODS:
            here = {"$ref": here["discriminator"]["mapping"][part]}
        else:
            here = here.get("properties", {}).get(part, {})
        here = _resolve(root, here)
    return here


def _resolve(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and take the first choice of "this or nothing"."""
    while "$ref" in schema or "anyOf" in schema:
        if "anyOf" in schema:
            schema = schema["anyOf"][0]
        else:
            schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _keys_of(location: tuple[int | str, ...]) -> list[str]:
    return [name for name in _schema_at(location).get("properties", {}) if name != "folder"]


def _allowed_at(location: tuple[int | str, ...]) -> str | None:
    names = {"object": "a table", "array": "a list"}
    kind = _schema_at(location).get("type")
    return None if kind is None else names.get(kind, f"a value of type {kind}")
