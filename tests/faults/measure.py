"""One benchmark run over a port, without oracle and host: what the campaigns repeat."""

from __future__ import annotations

from pathlib import Path

from edgepack.bench.data import Samples
from edgepack.bench.device_run import RunOptions
from edgepack.bench.project import target_record
from edgepack.bench.reconnect import PortConnect, PortSettings
from edgepack.bench.run import bench_project
from edgepack.bench.session import Session
from edgepack.link.framed import LinkTiming
from edgepack.link.ports import ListPorts, list_ports
from edgepack.manifest import read_manifest
from edgepack.report.schema import RunReport
from edgepack.targets import load_target

# Impatient: what is given up on a busy computer is completed by --resume.
HURRIED = LinkTiming(hello=0.8, reply=0.06, settle=0.015, inference=0.5, attempts=8, slowest=2e5)
PATIENT = LinkTiming(hello=30.0, reply=2.0, settle=0.3, inference=30.0, slowest=1e4)
PATIENCE_SECONDS = 0.7


def run_bench(
    project: Path,
    samples: Samples,
    out: Path,
    url: str,
    *,
    resume: bool,
    timing: LinkTiming = HURRIED,
    ports: ListPorts = list_ports,
) -> RunReport:
    """Run all samples; out/run.json, its journal and out/outputs.npz hold what was done."""
    manifest = read_manifest(project)
    model = manifest.model

    def check(session: Session) -> None:
        session.verify(
            manifest.build_id, [t.bytes for t in model.inputs], [t.bytes for t in model.outputs]
        )

    settings = PortSettings(url, timing=timing, stateful=model.stateful, patience=PATIENCE_SECONDS)
    options = RunOptions(
        out / "run.json", out / "outputs.npz", resume, host=False, oracle=False, reconnect=True
    )
    target = target_record(load_target(manifest.target))
    return bench_project(project, samples, PortConnect(settings, check, ports), target, options)
