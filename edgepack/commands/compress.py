"""`edgepack compress`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack.commands.output import out

_SWEEP = "A sweep"
_DEVICE = "What the device sees"


def compress(
    model: Annotated[
        Path,
        typer.Argument(
            help="A .keras or .h5 file; with --point the folder of a sweep.", show_default=False
        ),
    ],
    destination: Annotated[
        Path,
        typer.Option("--out", "-o", help="The .keras file to write; with --sweep a folder."),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD[:KEY=VALUE,...]",
            help="A step; may be given several times, the steps run in that order. With --sweep "
            "KEY=VALUE|VALUE tries each value.",
        ),
    ] = None,
    recipe: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="A TOML file with [[compress]] tables, such as edgepack.toml; with --sweep "
            "several may be given, to be compared.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Samples and labels: .npz, .csv, a folder of pictures, or file:function.",
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="Seconds for all steps, with --sweep of each point.", min=1)
    ] = 3600.0,
    report: Annotated[
        Path | None, typer.Option(help="Also write the report as JSON to this file.")
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Try every combination of values, measure each on the target, draw the front.",
            rich_help_panel=_SWEEP,
        ),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="An emulated board: build for it and state flash, RAM and instructions before and "
            "after each step, with --sweep of each point.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME[|SCHEME]",
            help="How to quantize (int8); several with --sweep.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    optimize: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[|NAME]",
            help="What the build prefers (balanced); several with --sweep.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="The share of the training split that points are compared on (0.1).",
            min=0.0,
            max=0.5,
            rich_help_panel=_SWEEP,
        ),
    ] = None,
    point: Annotated[
        int | None,
        typer.Option(help="Take this point of the sweep in MODEL.", rich_help_panel=_SWEEP),
    ] = None,
    build: Annotated[
        Path | None,
        typer.Option(help="Also build the point: the project to write.", rich_help_panel=_SWEEP),
    ] = None,
) -> None:
    """Make a network smaller: prune, split, share weights, train again.

    \b
    A run that was stopped goes on after the last epoch that it finished.

    \b
    Examples:
        edgepack compress net.keras --data d.npz -o small.keras
            --method prune_structured:ratio=0.5,of=macs,finetune.epochs=4
        edgepack compress net.keras --data d.npz -o small.keras
            --method low_rank:energy=0.9 --method prune_magnitude:sparsity=0.8
        edgepack compress net.keras --data train:load_data --recipe edgepack.toml -o small.keras
            --target netduinoplus2
        edgepack compress net.keras --data d.npz --sweep --target netduinoplus2 -o swept
            --method "prune_structured:ratio=0.3|0.5|0.7,of=macs"
        edgepack compress net.keras --data d.npz --sweep --target netduinoplus2 -o swept
            --recipe pruned.toml --recipe distilled.toml --recipe both.toml
        edgepack compress swept --point 2 -o small.keras --build firmware
    """
    import json

    from edgepack.commands.compress_show import show
    from edgepack.commands.compress_sweep import (
        SweepOptions,
        build_of,
        check_options,
        run_sweep,
        take_point,
    )
    from edgepack.commands.convert import _check_destination, _write
    from edgepack.compress.grid import Recipe
    from edgepack.errors import UsageError
    from edgepack.pipeline.compress import (
        Asked,
        checked_steps,
        compress_model,
        parse_step,
        read_steps,
        read_tables,
    )

    options = SweepOptions(sweep, target, scheme, optimize, validation, point, build)
    check_options(options, model)
    if point is not None:
        take_point(model, destination, options)
        return
    if bool(method) == bool(recipe):
        raise UsageError(
            "give the steps either as --method or as --recipe",
            next_step=f"edgepack compress {model} --data DATA -o {destination} "
            "--method prune_structured:ratio=0.5",
        )
    if sweep:
        recipes = [Recipe(tuple(read_tables(path)), str(path)) for path in recipe or ()]
        if method:
            recipes = [Recipe(tuple(parse_step(text) for text in method), "--method")]
        run_sweep(model, destination, recipes, data, time_limit, options)
        return
    if recipe and len(recipe) > 1:
        raise UsageError(
            f"--recipe is given {len(recipe)} times", allowed="once; several with --sweep"
        )
    if destination.suffix != ".keras":
        raise UsageError(f"--out {destination}", allowed="a name that ends in .keras")
    _check_destination(model, destination)
    if recipe:
        steps = read_steps(recipe[0])
    else:
        steps = checked_steps([parse_step(text) for text in method or ()], "--method")
    asked = Asked(model, steps, data, timeout=time_limit, build=build_of(options))
    with out().progress() as progress:
        done = compress_model(asked, progress)
    _write(destination, done.keras)
    if report is not None:
        _write(report, (json.dumps(done.report, indent=2) + "\n").encode())
    document = {"model": str(destination), **done.report}
    out().result(document, lambda: show(done.report, destination))
