"""`edgepack bench --bisect`: the first layer of a project that differs on its device."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.bench.bisect import (
    HOST_BUILD,
    Findings,
    OpenSession,
    find_first_difference,
    open_reference,
)
from edgepack.bench.oracle import TFLM_INSTALL, TFLM_MISSING
from edgepack.bench.project import BenchRequest, connect_project, load_request_samples
from edgepack.bench.run import read_model
from edgepack.bench.session import Session
from edgepack.errors import MissingToolError, UnsupportedError
from edgepack.flash import require_image
from edgepack.manifest import Manifest, read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target

HOST = "host"


@dataclass(frozen=True)
class BisectResult:
    """What was found, and what the plan says about the layer: its C function and why its kernel."""

    project: Path
    target: str
    findings: Findings
    function: str | None = None
    reason: str | None = None


def bisect_project(request: BenchRequest, progress: Progress = silent) -> BisectResult:
    """Run samples until a layer's output differs from the oracle's.

    Args:
        request: as for `bench`; `data`, `samples`, `seed`, `port` and `inference_seconds` count.

    Raises:
        UnsupportedError: the project's runtime cannot report layers.
        MissingToolError: there is nothing to compare a single tensor with.
        EdgepackError: as `bench`.
    """
    project = request.project
    manifest = read_manifest(project)
    require_image(project, manifest)
    if manifest.runtime != "c":
        raise UnsupportedError(
            f"{project} has runtime {manifest.runtime}, which cannot report layers",
            allowed="runtime c",
            next_step="edgepack build MODEL --target TARGET --runtime c",
        )
    samples = load_request_samples(request, manifest)
    connect = connect_project(
        project,
        manifest,
        load_target(manifest.target),
        port=request.port,
        inference_seconds=request.inference_seconds,
        player=request.emulator,
    )
    host = _host_build(project, manifest, progress)
    with (
        open_reference(manifest, read_model(project), samples, host) as reference,
        connect() as device,
    ):
        assert isinstance(device, Session)
        findings = find_first_difference(device, manifest, samples, reference, progress)
    if not findings.compared:
        raise MissingToolError(
            f"there is nothing to compare the layers with: {TFLM_MISSING}, and no build for this "
            "computer",
            next_step=TFLM_INSTALL,
        )
    plan = _plan_of(project, findings)
    return BisectResult(
        project, manifest.target, findings, plan.get("function"), plan.get("reason")
    )


def _host_build(project: Path, manifest: Manifest, progress: Progress) -> OpenSession:
    """Builds the model for this computer when it is asked for, from edgepack's own sources."""

    @contextmanager
    def opened() -> Iterator[Session]:
        progress("build host", None, HOST_BUILD)
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / "project"
            request = BuildRequest(
                project / "model.tflite",
                HOST,
                optimize=manifest.optimize,  # type: ignore[arg-type]
                name=manifest.model.name,
            )
            own = build_project(request, built)
            if [(x.op, x.outputs) for x in own.model.layers] != [
                (x.op, x.outputs) for x in manifest.model.layers
            ]:
                raise UnsupportedError(
                    f"{project} was built by an edgepack whose layers were others",
                    next_step=f"edgepack build MODEL --target {manifest.target} --out {project}",
                )
            with connect_project(built, own, load_target(HOST))() as device:
                assert isinstance(device, Session)
                device.start()
                yield device

    return opened


def _plan_of(project: Path, findings: Findings) -> dict[str, Any]:
    """What plan.json says about the layer; nothing where a project has none."""
    path = project / "plan.json"
    if findings.first is None or not path.is_file():
        return {}
    layers: list[dict[str, Any]] = json.loads(path.read_bytes())["graphs"][0]["layers"]
    return layers[findings.first.layer]
