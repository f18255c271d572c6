"""`edgepack bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack.commands.output import out


def bench(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory that `edgepack build` made.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Samples: an .npz with x (or input_0, ...) and, as y, labels. "
            "Without it, seeded random inputs.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="How many samples; by default all, or 10 random ones.", min=1),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            help="A device that runs the image already: /dev/ttyACM0, COM3, socket://host:port. "
            "Without it, an emulated target is started.",
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
    host: Annotated[
        bool, typer.Option("--host/--no-host", help="Also run the samples on this computer.")
    ] = True,
    threads: Annotated[int, typer.Option(help="Threads of the host's run.", min=1)] = 1,
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
) -> None:
    """Run samples on the device and compare: output bytes, instructions or time, memory, host.

    Exits with 16 when the device computed something else than the oracle.

    \b
    Examples:
        edgepack bench build/model
        edgepack bench build/model --data test.npz --samples 100 --json run.json
        edgepack bench build/model --port /dev/ttyACM0
    """
    from edgepack.bench.project import RUN_NAME, BenchRequest
    from edgepack.bench.project import bench as run_bench
    from edgepack.report.schema import read_run
    from edgepack.report.terminal import show_run

    report_path = json_file or directory / RUN_NAME
    request = BenchRequest(
        directory,
        data,
        samples,
        seed=seed,
        port=port,
        json_path=report_path,
        save_outputs=save_outputs,
        resume=resume,
        host=host,
        threads=threads,
        cycles=cycles,
    )
    with out().progress() as progress:
        report = run_bench(request, progress)
    if out().options.as_json:
        out().json(read_run(report_path).model_dump(mode="json"))
        return
    show_run(report, out().console(), layers=layers)
    out().note(f"report: {report_path}")
