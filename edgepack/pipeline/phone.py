"""Models and phones -> one run for each pair, with a program built once for each ABI."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack import __version__
from edgepack.atomic import check_replaceable, new_directory
from edgepack.bench.phone.facts import read_facts
from edgepack.bench.phone.settings import PhoneSettings
from edgepack.bench.project import BenchRequest
from edgepack.emit.project import ProjectSpec, emit_project
from edgepack.errors import UnsupportedError, UsageError
from edgepack.link.adb_phone import AdbPhone
from edgepack.link.adb_program import AUTO, Adb, choose_phone, find_adb, usable_phones
from edgepack.manifest import Manifest, ModelInfo, TensorInfo, write_manifest
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import parse_tflite, tensor_spec
from edgepack.ops.shared.kernel import Isa
from edgepack.pipeline.build import is_project
from edgepack.pipeline.convert import as_tflite
from edgepack.toolchain.phone import (
    ABIS,
    PHONE_SOURCES,
    Abi,
    compile_phone,
    find_phone_compiler,
)

ALL = "all"
TFLITE_TARGET = "phone-tflite"
_WORK = Path("build/phone")


@dataclass(frozen=True)
class PhoneRequest:
    """What to run where.

    models: model files of any format, or projects that an earlier call made.
    phones: serials, `host:port`, `auto` for the only phone, `all` for every one.
    base: everything of a run but project and phone.
    settings: everything of a phone but its serial (which is empty here).
    work: where projects and reports go.
    """

    models: Sequence[Path]
    phones: Sequence[str]
    base: BenchRequest
    settings: PhoneSettings
    work: Path = _WORK
    toolchain: str = "auto"


def open_phones(wanted: Sequence[str], adb: Adb | None = None) -> tuple[Adb, tuple[str, ...]]:
    """The adb program, and the serials of the phones that were named.

    Raises:
        AdbMissingError, AdbServerError: no adb, or a server of another version.
        NoPhoneError, SeveralPhonesError, PhoneUnauthorizedError, PhoneOfflineError: which phone.
        UsageError: one is named twice.
    """
    found = adb or find_adb()
    if list(wanted) == [ALL]:
        serials = list(usable_phones(found)) or [choose_phone(found, AUTO)]
    else:
        serials = [choose_phone(found, name) for name in wanted]
    if len(set(serials)) != len(serials):
        raise UsageError("a phone is named twice: its runs would disturb each other")
    return found, tuple(serials)


@dataclass(frozen=True)
class LeftOut:
    """A model that edgepack's own program cannot run, and why."""

    model: str
    phone: str
    error: UnsupportedError


@dataclass(frozen=True)
class Plan:
    """What runs where, and what does not."""

    runs: tuple[BenchRequest, ...]
    left_out: tuple[LeftOut, ...] = ()


def plan_runs(request: PhoneRequest, progress: Progress = silent) -> Plan:
    """Build what the phones need and say what runs where.

    Raises:
        UnsupportedError: no model can run.
        EdgepackError: a phone cannot be asked, a model cannot be built for it.
    """
    requests: list[BenchRequest] = []
    refused: list[LeftOut] = []
    several = len(request.models) * len(request.phones) > 1
    for model in request.models:
        for serial in request.phones:
            settings = replace(request.settings, serial=serial)
            try:
                project = _project(request, model, settings, progress)
            except UnsupportedError as error:
                # one precision that edgepack's own program cannot run does not stop the others
                refused.append(LeftOut(model.stem, serial, error))
                continue
            name = f"run-{_word(serial)}.json" if several else "run.json"
            requests.append(
                replace(
                    request.base,
                    project=project,
                    phone=settings,
                    json_path=request.base.json_path or project / name,
                )
            )
    if not requests:
        raise refused[0].error
    return Plan(tuple(requests), tuple(refused))


def rounds(requests: Sequence[BenchRequest]) -> list[list[BenchRequest]]:
    """The runs in rounds that may go on side by side: a phone runs one model at a time."""
    found: list[list[BenchRequest]] = []
    for request in requests:
        assert request.phone is not None  # plan_runs
        serial = request.phone.serial
        free = (r for r in found if all(x.phone and x.phone.serial != serial for x in r))
        target = next(free, None)
        if target is None:
            found.append([request])
        else:
            target.append(request)
    return found


def _project(
    request: PhoneRequest, model: Path, settings: PhoneSettings, progress: Progress
) -> Path:
    if model.is_dir() and is_project(model):
        return model
    facts = read_facts(AdbPhone(settings.adb, settings.serial))
    native = settings.binary is None
    abi = _abi(facts.abis, facts.serial) if native else None
    label = abi.name if abi is not None else "tflite"
    out = request.work / f"{_word(model.stem)}-{label}"
    check_replaceable(out, may_replace=is_project)
    ready = as_tflite(model, progress=progress)
    with new_directory(out, may_replace=is_project) as folder:
        if abi is None:
            _emit_tflite(ready.path, folder, model.stem)
        else:
            progress(f"build {abi.target}", None, "generating and compiling C")
            build_phone(ready.path, folder, abi, model.stem, toolchain=request.toolchain)
    return out


def build_phone(
    model: Path, directory: Path, abi: Abi, name: str, *, toolchain: str = "auto"
) -> Manifest:
    """Write and compile a project for phones of one ABI into an existing empty directory.

    Raises:
        ModelError, UnsupportedError: the model cannot be built.
        BuildError, MissingToolError: it cannot be compiled.
    """
    compiler = find_phone_compiler(abi, toolchain)
    spec = ProjectSpec(
        abi.target,
        Isa(frozenset(), "speed"),
        PHONE_SOURCES,
        protocol="framed",
        toolchain=compiler.name,
    )
    manifest = emit_project(model, directory, spec, name)
    return compile_phone(directory, manifest, abi, toolchain=compiler.name)


def _emit_tflite(model: Path, directory: Path, name: str) -> None:
    """A project whose program is TFLite's own: the model, and what is known of it.

    A model that edgepack has no kernels for is described by its inputs and outputs alone.
    """
    try:
        spec = ProjectSpec(TFLITE_TARGET, Isa(frozenset(), "speed"), PHONE_SOURCES)
        info = emit_project(model, directory, spec, name).model
    except UnsupportedError:
        info = _bare_info(model.read_bytes(), name)
    (directory / "model.tflite").write_bytes(model.read_bytes())
    write_manifest(
        directory,
        Manifest(
            edgepack_version=__version__,
            build_id=info.sha256[:16],
            runtime="tflite",
            target=TFLITE_TARGET,
            optimize="speed",
            model=info,
            arena_bytes=0,
            sources=(),
            include_dirs=(),
            defines=(),
        ),
    )


def _bare_info(model: bytes, name: str) -> ModelInfo:
    graph = parse_tflite(model, name).subgraphs[0]

    def tensor(index: int) -> TensorInfo:
        spec = tensor_spec(graph.tensors[index])
        shape = tuple(1 if size < 0 else size for size in spec.shape)
        return TensorInfo(
            name=spec.name,
            shape=shape,
            dtype=spec.dtype.value,
            bytes=math.prod(shape) * spec.dtype.itemsize,
            scale=spec.scale,
            zero_point=spec.zero_point,
        )

    return ModelInfo(
        name=name,
        c_name=re.sub(r"\W", "_", name),
        sha256=hashlib.sha256(model).hexdigest(),
        macs=0,
        weights=0,
        weight_bytes=0,
        inputs=tuple(tensor(i) for i in graph.inputs),
        outputs=tuple(tensor(i) for i in graph.outputs),
        layers=(),
    )


def _abi(abis: Sequence[str], serial: str) -> Abi:
    for name in abis:
        for abi in ABIS:
            if abi.name == name:
                return abi
    raise UnsupportedError(
        f"phone {serial} runs {', '.join(abis)}, for which edgepack compiles nothing",
        allowed=", ".join(abi.name for abi in ABIS),
        next_step="--benchmark-binary FILE runs TFLite's benchmark_model instead",
    )


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
