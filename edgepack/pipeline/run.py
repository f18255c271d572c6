"""Everything that edgepack.toml says: model, then for each target build, flash, run, compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.atomic import check_replaceable
from edgepack.bench.project import RUN_NAME, BenchRequest, bench
from edgepack.cache import CACHE_NAME, Cache
from edgepack.config import Config
from edgepack.errors import ConfigError, EdgepackError
from edgepack.flash import flash_project
from edgepack.manifest import read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.build import BuildRequest, build_cached, is_project
from edgepack.pipeline.model import Prepared, prepare_model
from edgepack.report.schema import RunReport, read_run
from edgepack.targets import Kind, load_target


@dataclass(frozen=True)
class TargetRun:
    """What became of one target: its project directory, and a report, an error, or both."""

    target: str
    project: Path
    report: RunReport | None
    error: EdgepackError | None


@dataclass(frozen=True)
class ConfigRun:
    """What became of a configuration. `prepared` says where the model and its samples are."""

    name: str
    prepared: Prepared
    targets: tuple[TargetRun, ...]

    @property
    def error(self) -> EdgepackError | None:
        """The first error of any target."""
        return next((run.error for run in self.targets if run.error is not None), None)


def run_config(
    config: Config, progress: Progress = silent, *, only: Sequence[str] = ()
) -> ConfigRun:
    """Do everything that a configuration says.

    A target that fails does not keep the others from running; its error is in the result.

    Args:
        config: what to do.
        progress: told of every stage.
        only: run these targets of the configuration; empty for all.

    Raises:
        ConfigError: a target does not exist, or `only` names one that the configuration has not.
        EdgepackError: the model could not be made.
    """
    names = _chosen(config, only)
    for name in names:
        load_target(name)  # a misspelt target must not cost a training run
    cache = Cache(config.folder / CACHE_NAME)
    prepared = prepare_model(config, cache, progress)
    runs = [_run_target(config, prepared, name, cache, progress) for name in names]
    return ConfigRun(config.name, prepared, tuple(runs))


def _chosen(config: Config, only: Sequence[str]) -> list[str]:
    unknown = [name for name in only if name not in config.build.targets]
    if unknown:
        raise ConfigError(
            f"the configuration does not build for {', '.join(unknown)}",
            allowed=", ".join(config.build.targets),
            next_step="add it to [build] targets",
        )
    wanted = only or config.build.targets
    return list(dict.fromkeys(wanted))


def _run_target(
    config: Config, prepared: Prepared, name: str, cache: Cache, progress: Progress
) -> TargetRun:
    build = config.build
    project = config.folder / build.out / name
    request = BuildRequest(
        prepared.tflite,
        name,
        build.runtime,
        build.optimize,
        config.name,
        tflm=None if build.tflm is None else config.folder / build.tflm,
        tflm_arena=build.tflm_arena,
        # no board's toolchain compiles for this computer
        toolchain="auto" if load_target(name).kind is Kind.HOST else build.toolchain,
    )
    report_path = project / RUN_NAME
    port = config.port_of(name)
    bench_request = BenchRequest(
        project,
        prepared.samples,
        config.bench.samples,
        port=port,
        json_path=report_path,
        emulator=config.bench.emulator,
    )
    try:
        check_replaceable(project, may_replace=is_project)
        report_path.unlink(missing_ok=True)  # a failure must not show the report of another day
        build_cached(request, project, cache, progress)
        if load_target(name).kind is not Kind.HOST:
            flash_project(project, read_manifest(project), load_target(name), port=port)
        return TargetRun(name, project, bench(bench_request, _titled(progress, name)), None)
    except EdgepackError as error:
        return TargetRun(name, project, _partial(report_path), error)


def _partial(path: Path) -> RunReport | None:
    """The report that a failed run left, if it left one."""
    return read_run(path) if path.is_file() else None


def _titled(progress: Progress, target: str) -> Progress:
    def titled(stage: str, fraction: float | None, message: str) -> None:
        progress(f"{target}: {stage}", fraction, message)

    return titled
