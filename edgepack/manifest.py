"""manifest.json: what the compile half tells the device half about a project directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgepack.errors import ProjectError

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT: Literal[1] = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorInfo(_Record):
    """One input or output: dtype is TFLite's name; scale and zero_point are None for floats."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    scale: float | None = None
    zero_point: int | None = None


class LayerInfo(_Record):
    """One layer in execution order; macs are multiply-accumulates of one inference."""

    index: int
    op: str
    name: str
    kernel: str
    macs: int
    weight_bytes: int
    outputs: tuple[TensorInfo, ...]


class ModelInfo(_Record):
    """The compiled model. `weights` counts parameters (elements of constant tensors).

    `stateful`: an inference leaves something behind that the next one reads.
    """

    name: str
    c_name: str
    sha256: str
    macs: int
    weights: int
    weight_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[LayerInfo, ...]
    stateful: bool = False


class ToolchainInfo(_Record):
    """What compiled the image: its name, version line and the flags used."""

    name: str
    version: str
    flags: tuple[str, ...]


class Sizes(_Record):
    """Bytes of the linked image. `tables` are constants that are neither code nor model weights."""

    flash_total: int
    flash_code: int
    flash_weights: int
    flash_tables: int
    ram_total: int
    ram_arena: int
    ram_static: int
    ram_stack_reserved: int


class TflmInfo(_Record):
    """The TensorFlow Lite Micro library in the image: its digest and the kernels that it holds."""

    library_sha256: str
    kernels: str


class Manifest(_Record):
    """The hand-over of a project directory; paths are relative to it, in POSIX form.

    `files` are other forms of the image by format (`uf2`, `hex`, `bin`), where the board asks for
    them. Runtime tflite is TFLite itself on a phone, with the model as it is. `tflm` is None for
    runtime c, and where the project was generated without a TFLM build.
    """

    format: Literal[1] = MANIFEST_FORMAT
    edgepack_version: str
    build_id: str
    runtime: Literal["c", "tflm", "tflite"]
    target: str
    optimize: str
    model: ModelInfo
    arena_bytes: int
    sources: tuple[str, ...]
    include_dirs: tuple[str, ...]
    defines: tuple[str, ...]
    image: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    toolchain: ToolchainInfo | None = None
    tflm: TflmInfo | None = None
    sizes: Sizes | None = None


def read_manifest(project: Path) -> Manifest:
    """Read `project/manifest.json`.

    Raises:
        ProjectError: it is missing, not JSON, of another format, or incomplete.
    """
    path = project / MANIFEST_NAME
    next_step = f"edgepack build MODEL --target TARGET --out {project}"
    if not path.is_file():
        raise ProjectError(
            f"{project} is not an edgepack project: it has no {MANIFEST_NAME}", next_step=next_step
        )
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (ValidationError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"{path} is damaged or was written by another edgepack: {error}", next_step=next_step
        ) from error


def write_manifest(project: Path, manifest: Manifest) -> None:
    """Write `project/manifest.json`, deterministically (sorted keys, no time, no host path)."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True)
    (project / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")
