"""The project directory: generated sources, copied firmware, manifest.json (docs/contracts.md)."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgepack import __version__
from edgepack.emit.c_runtime import Origin, emit_c_runtime
from edgepack.emit.c_text import identifier
from edgepack.emit.explain import explain, layer_infos, tensor_info
from edgepack.emit.program import Program, build_program, const_bytes, parameters
from edgepack.emit.sources import Sources, write_text
from edgepack.emit.templates import render
from edgepack.emit.text_view import task_of, text_view_source
from edgepack.emit.tflm_array import emit_tflm_array
from edgepack.emit.tflm_files import THIRD_PARTY, TflmBuild
from edgepack.emit.tflm_project import emit_tflm_sources
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Module
from edgepack.manifest import Manifest, ModelInfo, write_manifest
from edgepack.ops.shared.kernel import Isa
from edgepack.resources import firmware_dir

# The others are the only ones of their targets, or the usual ones.
_NAMED_TOOLCHAINS = ("clang", "zig")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class ProjectSpec:
    """What to generate.

    Args:
        target: the board's id.
        isa: what its kernels may use, and what to optimize for.
        port_files: the port's sources and headers, relative to firmware/.
        protocol: `full` speaks the MLPerf Tiny text protocol and frames, `framed` frames alone.
        board: it brings no C++ library of its own, unlike the host.
        tflm: for runtime tflm the build to link, or None to write the sources alone.
        tflm_arena: bytes of TFLM's arena, or None for an estimate.
        task: MLPerf Tiny's id of the model, `none`, or None to recognise it by its shapes.
        toolchain: which compiler the project is for, so that the images of two have two build ids;
            None where nothing is compiled.
    """

    target: str
    isa: Isa
    port_files: tuple[str, ...]
    runtime: Literal["c", "tflm"] = "c"
    protocol: Literal["full", "framed"] = "full"
    board: bool = True
    tflm: TflmBuild | None = None
    tflm_arena: int | None = None
    task: str | None = None
    toolchain: str | None = None


def emit_project(model_path: Path, directory: Path, spec: ProjectSpec, name: str) -> Manifest:
    """Write a project into an existing empty directory and return its manifest.

    Args:
        model_path: a .tflite file.
        name: the model's name; its C identifier is derived from it.

    Raises:
        ModelError, UnsupportedError: from loading and lowering the model.
    """
    data = model_path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    module = load_tflite(model_path, name=name)
    options = f"target {spec.target}, runtime {spec.runtime}, optimize {spec.isa.optimize}"
    options += f", protocol {spec.protocol}"
    if spec.toolchain in _NAMED_TOOLCHAINS:
        options += f", toolchain {spec.toolchain}"
    origin = Origin(name, digest, options)
    (directory / "model.tflite").write_bytes(data)
    task = task_of(module.main, spec.task, identifier(name))
    made = _model_sources(directory, module, data, origin, spec, task)
    folders = ["runtime", "bench", *made.folders]
    firmware = copy_firmware(directory, made.roots, folders, spec.port_files)
    text_view = text_view_source(module.main, task)
    written = [*made.written, write_text(directory, "bench_text.c", text_view), *firmware]
    own = {Path(w).parent.as_posix() for w in written if w.endswith(".h") and not _foreign(w)}
    build_id = _build_id(directory, written, options)
    write_text(directory, "build_id.c", render("build_id.c.j2", build_id=build_id))
    manifest = Manifest(
        edgepack_version=__version__,
        build_id=build_id,
        runtime=spec.runtime,
        target=spec.target,
        optimize=spec.isa.optimize,
        model=made.model,
        arena_bytes=made.arena_bytes,
        sources=_sources(written),
        include_dirs=(*sorted(own), *made.include_dirs),
        defines=(*made.defines, *(() if spec.protocol == "full" else ("EP_BENCH_TEXT=0",))),
        tflm=made.tflm,
    )
    write_manifest(directory, manifest)
    return manifest


def _model_sources(
    directory: Path, module: Module, data: bytes, origin: Origin, spec: ProjectSpec, task: str
) -> Sources:
    c_name = identifier(origin.model_name)
    if spec.runtime == "c":
        return _c_sources(directory, module, data, origin, spec.isa, task)
    return emit_tflm_sources(
        directory,
        module,
        data,
        origin,
        c_name,
        task,
        build=spec.tflm,
        arena_bytes=spec.tflm_arena,
        board=spec.board,
    )


def _c_sources(
    directory: Path, module: Module, data: bytes, origin: Origin, isa: Isa, task: str
) -> Sources:
    """Write the standalone C of the model, the TFLM array beside it, and the plan."""
    program = build_program(module, isa)
    c_name = identifier(origin.model_name)
    array = emit_tflm_array(data, c_name, origin)
    text = emit_c_runtime(program, c_name, origin)
    write_text(directory, f"model/{array.source_name}", array.source)
    plan = json.dumps(explain(program, f"ep_{c_name}"), indent=2, sort_keys=True)
    write_text(directory, "plan.json", plan + "\n")
    return Sources(
        written=(
            write_text(directory, f"model/{array.header_name}", array.header),
            write_text(directory, f"model/{text.header_name}", text.header),
            write_text(directory, f"model/{text.source_name}", text.source),
            write_text(directory, "bench_model.c", _bench_model(program, c_name, task, origin)),
        ),
        model=_model_info(program, origin.model_name, c_name, origin.sha256),
        arena_bytes=program.arena_bytes,
        roots=(text.header, text.source),
    )


def _bench_model(program: Program, c_name: str, task: str, origin: Origin) -> str:
    prefix = f"ep_{c_name}"
    return render(
        "c_runtime/bench_model.c.j2",
        version=__version__,
        origin=origin,
        prefix=prefix,
        macro=prefix.upper(),
        c_name=c_name,
        task=task,
        io=_io_bytes(program),
        layer_count=len(program.main.lowered),
    )


def _io_bytes(program: Program) -> dict[str, list[int]]:
    graph = program.main.graph
    return {
        "inputs": [graph.tensors[i].nbytes for i in graph.inputs],
        "outputs": [graph.tensors[i].nbytes for i in graph.outputs],
    }


def copy_firmware(
    directory: Path, roots: Iterable[str], folders: Iterable[str], port_files: Iterable[str]
) -> list[str]:
    """Copy folders and files of firmware/ and the kernels that `roots` include.

    Returns:
        The copied paths, relative to `directory`.
    """
    source = firmware_dir()
    copied: list[str] = []
    files = [f for folder in folders for f in sorted((source / folder).iterdir()) if f.is_file()]
    files += [source / name for name in port_files]
    files += _kernel_closure(source / "kernels", roots)
    for file in files:
        relative = f"firmware/{file.relative_to(source).as_posix()}"
        target = directory / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        copied.append(relative)
    return copied


def _kernel_closure(kernels: Path, roots: Iterable[str]) -> list[Path]:
    """The kernel headers that generated code includes, and those that they include."""
    found: dict[str, Path] = {}
    queue = [name for text in roots for name in _INCLUDE.findall(text)]
    while queue:
        name = queue.pop()
        path = kernels / name
        if name in found or not path.is_file():
            continue
        found[name] = path
        queue += _INCLUDE.findall(path.read_text(encoding="utf-8"))
    return [found[name] for name in sorted(found)]


def _sources(written: Iterable[str]) -> tuple[str, ...]:
    """What the compiler is given, in a stable order."""
    compiled = (w for w in written if w.endswith((".c", ".S", ".cc", ".a")))
    return tuple(sorted([*compiled, "build_id.c"]))


def _foreign(relative: str) -> bool:
    """Whether it comes from others: such folders are searched only where its format says so."""
    return relative.startswith(f"{THIRD_PARTY}/")


def _build_id(directory: Path, written: Iterable[str], options: str) -> str:
    """16 hex digits that identify all sources and options of an image."""
    digest = hashlib.sha256(options.encode())
    for relative in sorted(written):
        digest.update(relative.encode() + b"\0" + (directory / relative).read_bytes())
    return digest.hexdigest()[:16]


def _model_info(program: Program, name: str, c_name: str, digest: str) -> ModelInfo:
    graph = program.main.graph
    return ModelInfo(
        name=name,
        c_name=c_name,
        sha256=digest,
        macs=program.macs,
        weights=parameters(program.module),
        weight_bytes=sum(const_bytes(c, "weights") for g in program.graphs for c in g.lowered),
        inputs=tuple(tensor_info(graph.tensors[i]) for i in graph.inputs),
        outputs=tuple(tensor_info(graph.tensors[i]) for i in graph.outputs),
        layers=layer_infos(program),
        stateful=bool(program.state.slots),
    )
