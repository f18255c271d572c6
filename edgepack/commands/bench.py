"""`edgepack bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.commands.output import out
from edgepack.commands.player import PlayerOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgepack.bench.project import BenchRequest
    from edgepack.flash.emulator import Player

_CONFIG_SUFFIX = ".toml"
_PHONES = "Phones"
# one start of a phone's program warms up, runs the timed part and profiles
_PROGRAM_TIMES = 6


def bench(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Directories that `edgepack build` made, or an edgepack.toml for all its boards; "
            "with --phone, model files.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Samples: an .npz with x (or input_0, ...) and, as y, labels; a CSV file; or a "
            "folder of pictures. Without it, seeded random inputs.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="How many samples; by default all, or 10 random ones.", min=1),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            help="A device that runs the image already: /dev/ttyACM0, COM3, socket://host:port; "
            "repeatable. Without it, an emulated target is started.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write run.json there; by default to DIR/run.json. Without FILE, print it.",
            show_default=False,
        ),
    ] = None,
    save_outputs: Annotated[
        Path | None,
        typer.Option(
            metavar="Y.npz",
            help="Save the device's outputs as output_0, output_1, ...",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Complete an earlier run that was cut short.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random inputs.", min=0)] = 0,
    oracle: Annotated[
        bool,
        typer.Option("--oracle/--no-oracle", help="Compare the output bytes with TFLite Micro's."),
    ] = True,
    host: Annotated[
        bool, typer.Option("--host/--no-host", help="Also run the samples on this computer.")
    ] = True,
    threads: Annotated[int, typer.Option(help="Threads of the host's run.", min=1)] = 1,
    timeout: Annotated[
        float, typer.Option(help="Seconds after which one inference is given up.", min=0.1)
    ] = 60.0,
    reconnect: Annotated[
        float,
        typer.Option(
            help="Seconds within which a device at a port that was lost must be back, under any "
            "name; 0 ends the run at once.",
            min=0.0,
        ),
    ] = 15.0,
    cycles: Annotated[
        bool,
        typer.Option(
            "--cycles",
            help="Also model the cycles of the core, from the instructions that the emulator ran; "
            "no latency, and blind to caches and wait states.",
        ),
    ] = False,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also print the figures of each layer.")
    ] = False,
    emulator: PlayerOption = None,
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect", help="Only find the first layer whose output differs from the oracle's."
        ),
    ] = False,
    phone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERIAL",
            help="Run models on a phone: a serial of `adb devices`, host:port, `auto` for the only "
            "one; repeatable; `all` for every one (docs/phones.md).",
            show_default=False,
            rich_help_panel=_PHONES,
        ),
    ] = None,
    benchmark_binary: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Run TFLite's benchmark_model instead of edgepack's own program: a file, "
            "phone:PATH on the phone, or `found` to look for it there.",
            show_default=False,
            rich_help_panel=_PHONES,
        ),
    ] = None,
    accelerator: Annotated[
        str,
        typer.Option(
            help="Of benchmark_model: cpu, xnnpack, plain (no XNNPACK), gpu, nnapi.",
            rich_help_panel=_PHONES,
        ),
    ] = "cpu",
    benchmark_flag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="--NAME=VALUE",
            help="Passed on to benchmark_model; repeatable.",
            show_default=False,
            rich_help_panel=_PHONES,
        ),
    ] = None,
    cpus: Annotated[
        str,
        typer.Option(
            help="Cores of the phone: auto (the fastest that have room for all threads), prime, "
            "big, little, all, or a mask in hex.",
            rich_help_panel=_PHONES,
        ),
    ] = "auto",
    warmup_ms: Annotated[
        int,
        typer.Option(help="Milliseconds of warm-up.", min=0, rich_help_panel=_PHONES),
    ] = 500,
    min_runs: Annotated[
        int,
        typer.Option(
            help="Timed inferences, at least.", min=1, max=100_000, rich_help_panel=_PHONES
        ),
    ] = 50,
    min_secs: Annotated[
        float,
        typer.Option(help="Seconds to time for, at least.", min=0.0, rich_help_panel=_PHONES),
    ] = 1.0,
    max_secs: Annotated[
        float,
        typer.Option(help="Seconds to time for, at most.", min=0.1, rich_help_panel=_PHONES),
    ] = 10.0,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile/--no-profile",
            help="Also time each layer or operator, after the timed inferences.",
            rich_help_panel=_PHONES,
        ),
    ] = True,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="float,int8,...",
            help="Run a float model in several precisions: float, fp16, dynamic, int8.",
            show_default=False,
            rich_help_panel=_PHONES,
        ),
    ] = None,
    phone_dir: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where on the phone; by default /data/local/tmp.",
            show_default=False,
            rich_help_panel=_PHONES,
        ),
    ] = None,
    work: Annotated[
        Path,
        typer.Option(help="Where programs and reports of phones go.", rich_help_panel=_PHONES),
    ] = Path("build/phone"),
) -> None:
    """Run samples on the device and compare: output bytes, instructions or time, memory, host.

    Several DIRs or ports run at the same time and make one table, one run.json each and runs.json.
    Exits with 16 when a device computed something else than the oracle, and with another code when
    it failed: with several, that of the first.

    \b
    Examples:
        edgepack bench build/model
        edgepack bench build/model --data test.npz --samples 100 --json run.json
        edgepack bench build/model --port /dev/ttyACM0 --port /dev/ttyACM1
        edgepack bench build/model --bisect
        edgepack bench model.tflite --phone auto
        edgepack bench model.tflite --phone all --benchmark-binary benchmark_model
    """
    from edgepack.bench.project import BenchRequest

    if phone:
        from edgepack.commands.bench_phone import PhoneOptions, bench_phones

        _refuse_with_phone(port, bisect=bisect, cycles=cycles)
        base = BenchRequest(
            directories[0],
            data,
            samples,
            seed=seed,
            save_outputs=save_outputs,
            resume=resume,
            host=host,
            threads=threads,
            oracle=oracle,
        )
        options = PhoneOptions(
            phone,
            benchmark_binary,
            cpus,
            threads,
            warmup_ms,
            min_runs,
            min_secs,
            max_secs,
            accelerator,
            benchmark_flag or (),
            profile,
            phone_dir,
            compare,
            work,
            reconnect,
            max(timeout, max_secs * _PROGRAM_TIMES),
        )
        bench_phones(directories, base, options, json_file, layers=layers)
        return
    places = _places(directories, port or [])
    base = BenchRequest(
        places.pairs[0][0],
        data or places.data,
        samples or places.samples,
        seed=seed,
        port=places.pairs[0][1],
        save_outputs=save_outputs,
        resume=resume,
        host=host,
        threads=threads,
        oracle=oracle,
        inference_seconds=timeout,
        reconnect_seconds=reconnect,
        cycles=cycles,
        emulator=places.emulator if emulator is None else emulator.value,
    )
    if bisect:
        from edgepack.commands.bench_bisect import bench_bisect
        from edgepack.errors import UsageError

        if len(places.pairs) > 1:
            raise UsageError("--bisect looks at one board at a time", allowed="one DIR, one --port")
        bench_bisect(base)
    elif len(places.pairs) > 1:
        _several(base, places, json_file)
    else:
        _single(base, json_file, layers)


def _refuse_with_phone(port: Sequence[str] | None, *, bisect: bool, cycles: bool) -> None:
    from edgepack.errors import UsageError

    for name, given in (("--port", port), ("--bisect", bisect), ("--cycles", cycles)):
        if given:
            raise UsageError(f"--phone and {name} do not go together")


@dataclass(frozen=True)
class _Places:
    """What runs where, and the samples that a configuration names."""

    pairs: Sequence[tuple[Path, str | None]]
    data: Path | None = None
    samples: int | None = None
    emulator: Player = "auto"


def _places(directories: Sequence[Path], ports: Sequence[str]) -> _Places:
    from edgepack.bench.several import pair_up
    from edgepack.errors import UsageError

    configs = [d for d in directories if d.suffix == _CONFIG_SUFFIX]
    if not configs:
        return _Places(pair_up(directories, ports))
    if len(directories) > 1 or ports:
        raise UsageError(
            f"{configs[0]} says itself what runs where",
            allowed="one edgepack.toml alone, or directories and ports",
        )
    from edgepack.config import load_config

    config = load_config(configs[0])
    built = config.folder / config.build.out
    devices = [(d.target, d.port) for d in config.devices]
    listed = devices or [(target, None) for target in config.build.targets]
    data = config.bench.data
    return _Places(
        [(built / target, port) for target, port in listed],
        None if data is None else config.folder / data,
        config.bench.samples,
        config.bench.emulator,
    )


def _single(request: BenchRequest, json_file: Path | None, layers: bool) -> None:
    from dataclasses import replace

    from edgepack.bench.project import RUN_NAME
    from edgepack.bench.project import bench as run_bench
    from edgepack.report.schema import read_run
    from edgepack.report.terminal import show_run

    report_path = json_file or request.project / RUN_NAME
    with out().progress() as progress:
        report = run_bench(replace(request, json_path=report_path), progress)
    if out().options.as_json:
        out().json(read_run(report_path).model_dump(mode="json"))
        return
    show_run(report, out().console(), layers=layers)
    out().note(f"report: {report_path}")


def _several(base: BenchRequest, places: _Places, json_file: Path | None) -> None:
    from dataclasses import replace

    from edgepack.bench.several import (
        RUNS_NAME,
        bench_several,
        exit_code,
        report_paths,
        runs_document,
        write_runs,
    )
    from edgepack.errors import UsageError
    from edgepack.report.several import Line, show_several

    if base.save_outputs is not None:
        raise UsageError("--save-outputs goes with one board", next_step="leave it out")
    requests = [
        replace(base, project=project, port=port, json_path=path)
        for (project, port), path in zip(places.pairs, report_paths(places.pairs), strict=True)
    ]
    with out().progress() as progress:
        runs = bench_several(requests, progress)
    path = json_file or requests[0].project / RUNS_NAME
    write_runs(path, runs_document(runs))
    lines = [Line(r.label, r.report, None if r.error is None else r.error.kind) for r in runs]
    out().result(runs_document(runs), lambda: show_several(lines, out().console()))
    for run in runs:
        if run.error is not None:
            out().note(f"{run.label}: {run.error}")
    out().note(f"reports: {path}, and {', '.join(str(r.json_path) for r in requests)}")
    if exit_code(runs):
        raise typer.Exit(exit_code(runs))
