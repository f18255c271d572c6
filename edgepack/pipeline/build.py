"""A .tflite model and a target -> a project directory with a linked image, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edgepack.atomic import check_replaceable, new_directory
from edgepack.cache import Artefact, Cache, code_digest, file_digest, tree_digest
from edgepack.emit.esp_idf import emit_esp_idf, uses_esp_idf
from edgepack.emit.project import ProjectSpec, emit_project
from edgepack.emit.tflm_files import TflmBuild
from edgepack.errors import (
    BuildError,
    MissingToolError,
    UsageError,
)
from edgepack.manifest import MANIFEST_NAME, Manifest, read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.ops.shared.kernel import Isa
from edgepack.pipeline.convert import as_tflite
from edgepack.resources import firmware_dir, templates_dir
from edgepack.targets import Target, load_target
from edgepack.toolchain import (
    EspIdf,
    compile_project,
    find_compiler,
    find_tflm,
    firmware_files,
    tflm_path,
)


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    name: what firmware and reports call the model, by default its stem.
    tflm: for runtime tflm, the user's TensorFlow Lite Micro; None: where EDGEPACK_TFLM says.
    tflm_arena: bytes of TFLM's arena; None: an estimate.
    task: MLPerf Tiny's id of the model, or `none`; None: recognised by its shapes.
    toolchain: a name of edgepack/toolchain/table.py, or `auto` for the first installed one.
    """

    model: Path
    target: str
    runtime: Literal["c", "tflm"] = "c"
    optimize: Literal["speed", "size", "ram", "balanced"] = "balanced"
    name: str | None = None
    protocol: Literal["full", "framed"] = "full"
    tflm: Path | None = None
    tflm_arena: int | None = None
    task: str | None = None
    toolchain: str = "auto"

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self.name or self.model.stem

    def find_tflm(self, target: Target) -> TflmBuild | None:
        """The TensorFlow Lite Micro to link, or None where none is needed or known.

        Raises:
            UsageError: an option that goes with runtime tflm only, or a path that does not exist.
            MissingToolError, BuildError: what the path holds cannot be used for the target.
        """
        if self.runtime == "c":
            if self.tflm is not None or self.tflm_arena is not None:
                raise UsageError(
                    "--tflm and --tflm-arena go with TensorFlow Lite Micro alone",
                    next_step="add --runtime tflm",
                )
            return None
        path = tflm_path(self.tflm)
        return None if path is None else find_tflm(path, target)


def build_project(
    request: BuildRequest, out: Path, *, compile_it: bool = True, progress: Progress = silent
) -> Manifest:
    """Build a project; `out` appears only when everything worked.

    Args:
        request: what to build.
        out: the project directory; an earlier project there is replaced.
        compile_it: False stops after the sources; so does runtime tflm without a TFLM to link, and
            a chip that ESP-IDF builds for where no ESP-IDF is set up.
        progress: told of each step.

    Raises:
        ProjectError: `out` holds something that is no edgepack project.
        ConfigError: there is no such target.
        ModelError, UnsupportedError: the model is damaged, or holds what the runtime cannot run.
        BuildError, FitError, MissingToolError: from compiling it.
        UsageError: from `BuildRequest.find_tflm`.
    """
    target = load_target(request.target)
    check_replaceable(out, may_replace=is_project)
    request = _converted(request, progress)
    with new_directory(out, may_replace=is_project) as building:
        return _fill(request, target, building, out, compile_it, progress)


def _converted(request: BuildRequest, progress: Progress) -> BuildRequest:
    """The same request for a `.tflite`: any other model is converted, once."""
    ready = as_tflite(request.model, progress=progress)
    return replace(request, model=ready.path, name=request.model_name)


def build_cached(request: BuildRequest, out: Path, cache: Cache, progress: Progress) -> Artefact:
    """The same through a cache: nothing is compiled when nothing that matters changed.

    Raises:
        EdgepackError: as `build_project`; MissingToolError also when runtime tflm has no TFLM.
    """
    target = load_target(request.target)
    if request.runtime == "tflm" and request.find_tflm(target) is None:
        raise MissingToolError(
            "runtime tflm needs a build of TensorFlow Lite Micro to link, and none was named",
            allowed='tflm = "FOLDER" in [build], or the environment variable EDGEPACK_TFLM',
            next_step='docs/tflm.md says how to get one; or set runtime = "c"',
        )
    check_replaceable(out, may_replace=is_project)
    artefact = cache.get(
        "build",
        _inputs(request, target),
        lambda folder: _ignore(_fill(request, target, folder, out, True, progress)),
    )
    if not _is_copy(artefact.folder, out):
        cache.copy(artefact, out, may_replace=is_project)
    return artefact


def is_project(directory: Path) -> bool:
    """Whether a directory was written by some version of edgepack."""
    try:
        document = json.loads((directory / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "edgepack_version" in document


def _fill(
    request: BuildRequest,
    target: Target,
    directory: Path,
    out: Path,
    compile_it: bool,
    progress: Progress,
) -> Manifest:
    stage = f"build {target.id}"
    progress(stage, 0.0, "generating C")
    if uses_esp_idf(target):
        compile_it = compile_it and EspIdf().installed(target)
    spec = ProjectSpec(
        target.id,
        Isa(frozenset(target.isa), request.optimize),
        firmware_files(target),
        request.runtime,
        request.protocol,
        board=target.layout is not None,
        tflm=request.find_tflm(target),
        tflm_arena=request.tflm_arena,
        task=request.task,
        toolchain=find_compiler(target, request.toolchain).name if compile_it else None,
    )
    manifest = emit_project(request.model, directory, spec, request.model_name)
    if uses_esp_idf(target):
        emit_esp_idf(directory, manifest, target)
    if not compile_it or (spec.runtime == "tflm" and spec.tflm is None):
        return manifest
    progress(stage, 0.3, "compiling")
    try:
        done = compile_project(directory, manifest, target, toolchain=request.toolchain)
    except BuildError as error:
        # the directory is gone by the time the user reads this, so say how to get it back
        again = f"edgepack build {request.model} --target {target.id} --out {out} --no-compile"
        again += "" if request.runtime == "c" else " --runtime tflm"
        raise BuildError(error.message, allowed=error.allowed, next_step=again) from error
    progress(stage, 1.0, "done")
    return done


def _inputs(request: BuildRequest, target: Target) -> dict[str, Any]:
    """Everything that determines the image."""
    tflm = request.find_tflm(target)
    return {
        "model": file_digest(request.model),
        "name": request.model_name,
        "runtime": request.runtime,
        "optimize": request.optimize,
        "protocol": request.protocol,
        "tflm": None if tflm is None else tflm.digest(),
        "tflm_arena": request.tflm_arena,
        "task": request.task,
        "board": target.board.model_dump(mode="json"),
        "soc": target.soc.model_dump(mode="json"),
        "compiler": find_compiler(target, request.toolchain).version,
        "code": code_digest("."),
        "resources": tree_digest([firmware_dir(), templates_dir()]),
    }


def _is_copy(artefact: Path, out: Path) -> bool:
    """Whether `out` still is what the cache holds (its reports and journals may differ)."""
    if not (out / MANIFEST_NAME).is_file():
        return False
    if (out / MANIFEST_NAME).read_bytes() != (artefact / MANIFEST_NAME).read_bytes():
        return False
    manifest = read_manifest(out)
    images = [*([manifest.image] if manifest.image else []), *manifest.files.values()]
    names = ["model.tflite", *manifest.sources, *images]
    return all(
        (out / name).is_file() and file_digest(out / name) == file_digest(artefact / name)
        for name in names
    )


def _ignore(_: Manifest) -> None:
    """A cache stage returns nothing; what it made stands in its folder."""
