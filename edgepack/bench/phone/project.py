"""A benchmark on a phone: a project and a phone in, run.json out."""

from __future__ import annotations

from pathlib import Path

from edgepack.bench.device import Device
from edgepack.bench.device_run import RunOptions
from edgepack.bench.phone.connect import PhoneConnect
from edgepack.bench.phone.facts import PhoneFacts, read_facts
from edgepack.bench.phone.native import NativePhone
from edgepack.bench.phone.settings import PhoneSettings
from edgepack.bench.phone.tflite_program import TflitePhone
from edgepack.bench.project import RUN_NAME, BenchRequest, load_request_samples
from edgepack.bench.run import bench_project
from edgepack.errors import ProjectError
from edgepack.link.adb_phone import AdbPhone, PhoneLink
from edgepack.manifest import Manifest, read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.report import schema


def bench_phone(
    request: BenchRequest, settings: PhoneSettings, progress: Progress = silent
) -> schema.RunReport:
    """Run a project's program, or benchmark_model with its model, on a phone and write run.json.

    Raises:
        ProjectError: the project holds no program for phones.
        ParityError: edgepack's program computed other bytes than the oracle.
        EdgepackError: whatever stopped the phone; run.json holds what was done.
    """
    manifest = read_manifest(request.project)
    facts = read_facts(AdbPhone(settings.adb, settings.serial))
    if settings.binary is None:
        image = _image(request.project, manifest)
        manifest_abi = manifest.target.partition("-")[2]
        if manifest_abi not in facts.abis:
            raise ProjectError(
                f"{request.project} is for {manifest.target}, phone {facts.serial} runs "
                f"{', '.join(facts.abis)}",
                next_step=f"edgepack bench MODEL.tflite --phone {facts.serial}",
            )

    def start(link: PhoneLink, what: PhoneFacts, folder: str) -> Device:
        if settings.binary is None:
            return NativePhone(link, what, folder, image, manifest, settings)
        model = request.project / "model.tflite"
        return TflitePhone(link, what, folder, model, manifest, settings)

    options = RunOptions(
        json_path=request.json_path or request.project / RUN_NAME,
        save_outputs=request.save_outputs,
        resume=request.resume,
        host=request.host,
        threads=request.threads,
        oracle=request.oracle,
        reconnect=settings.patience > 0,
        alone=request.alone,
        # TFLite itself rounds otherwise than TFLite Micro: differences are told, and no failure
        judge="tflm" if settings.binary is None else "litert",
    )
    samples = load_request_samples(request, manifest)
    connect = PhoneConnect(settings, start)
    return bench_project(request.project, samples, connect, _target(facts), options, progress)


def _image(project: Path, manifest: Manifest) -> Path:
    if manifest.image is None or not (project / manifest.image).is_file():
        raise ProjectError(
            f"{project} holds no program for phones",
            next_step="edgepack bench MODEL.tflite --phone auto",
        )
    return project / manifest.image


def _target(facts: PhoneFacts) -> schema.Target:
    return schema.Target(
        id=f"{facts.name} ({facts.serial})",
        cpu=facts.soc,
        clock_hz=None,
        kind="emulated" if facts.emulated else "phone",
        # no phone was at hand when edgepack was made: its programs ran in qemu-user
        verified="emulated",
    )
