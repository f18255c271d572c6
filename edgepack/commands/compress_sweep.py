"""`edgepack compress --sweep` and `--point`: try a grid of recipes, take one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from edgepack.commands.compress_show import score_text
from edgepack.commands.output import Column, out
from edgepack.compress.grid import RECIPE, USE, Recipe

if TYPE_CHECKING:
    from edgepack.pipeline.compress_device import Build


@dataclass(frozen=True)
class SweepOptions:
    """What stands on the command line for a sweep; None and empty where it does not."""

    sweep: bool
    target: str | None
    scheme: str | None
    optimize: str | None
    validation: float | None
    point: int | None
    build: Path | None


def check_options(options: SweepOptions, model: Path) -> None:
    """Refuse options of a sweep where there is none.

    Raises:
        UsageError: naming the first.
    """
    from edgepack.errors import UsageError

    taking = options.point is not None
    if options.validation is not None and not options.sweep:
        raise UsageError("--validation is of a sweep", allowed="--sweep beside it")
    for name in ("target", "scheme", "optimize"):
        if getattr(options, name) is not None and taking:
            raise UsageError(
                f"--point takes what is built, and how, from its sweep: --{name}",
                allowed=f"no --{name} beside it",
            )
    for name in ("scheme", "optimize"):
        if getattr(options, name) is not None and options.target is None:
            raise UsageError(
                f"--{name} says how a network is built", allowed="--target NAME beside it"
            )
    if options.build is not None and not taking:
        raise UsageError("--build makes a project of one point", allowed="--point N beside it")
    if taking and options.sweep:
        raise UsageError(
            "--sweep tries the points, --point takes one of a finished sweep",
            next_step="edgepack compress SWEEP_FOLDER --point N -o small.keras",
        )
    if taking and not model.is_dir():
        raise UsageError(
            f"--point takes a point of a sweep, and {model} is no folder",
            allowed="the folder that --sweep wrote with --out",
        )


def build_of(options: SweepOptions) -> Build | None:
    """How one recipe's network is built to be measured; None where no target is named.

    Raises:
        UsageError: there are several ways, or one that there is not.
    """
    from edgepack.errors import UsageError
    from edgepack.pipeline.compress_device import Build

    if options.target is None:
        return None
    schemes, builds = _ways(options)
    if len(schemes) > 1 or len(builds) > 1:
        raise UsageError("several --scheme or --optimize make a sweep", allowed="--sweep beside it")
    return Build(options.target, schemes[0], builds[0])


def run_sweep(
    model: Path,
    folder: Path,
    recipes: Sequence[Recipe],
    data: str | None,
    time_limit: float,
    options: SweepOptions,
) -> None:
    """Try every point of a grid and show the table."""
    from edgepack.compress.grid import points
    from edgepack.errors import UsageError
    from edgepack.pipeline.sweep import sweep
    from edgepack.pipeline.sweep_point import Asked
    from edgepack.report.front_chart import draw

    if options.target is None or data is None:
        raise UsageError(
            "a sweep needs samples with labels, and a target whose emulator counts",
            next_step=f"edgepack compress {model} --data DATA --sweep --target netduinoplus2 "
            f"-o {folder} --method prune_structured:ratio=0.3|0.5",
        )
    if folder.is_file():
        raise UsageError(f"--out {folder} is a file", allowed="a folder, with --sweep")
    schemes, builds = _ways(options)
    asked = Asked(
        model,
        points(recipes),
        data,
        options.target,
        folder,
        validation=0.1 if options.validation is None else options.validation,
        schemes=schemes,
        optimize=builds,
        timeout=time_limit,
    )
    with out().progress() as progress:
        document = sweep(asked, progress)
    pictures = draw(document, folder)
    out().result(document, lambda: _show(document, folder))
    if not pictures:
        out().note("no picture: matplotlib is not installed (pip install matplotlib)")
    for path in pictures:
        out().note(f"wrote {path}")
    best = document["front"]["all"]
    if best:
        out().note(
            f"next:  edgepack compress {folder} --point {best[-1]} -o small.keras --build firmware"
        )


def take_point(folder: Path, destination: Path, options: SweepOptions) -> None:
    """Copy one point's network, state its score on the test split, and build it if asked."""
    import json

    from edgepack.commands.convert import _write
    from edgepack.pipeline.build import BuildRequest, build_project
    from edgepack.pipeline.compress_device import TFLITE_NAME
    from edgepack.pipeline.sweep_result import taken

    assert options.point is not None
    with out().progress() as progress:
        row = taken(folder, options.point, progress)
        place = Path(row["folder"])
        source = place / row["model"]
        target = destination.with_suffix(source.suffix)
        _write(target, source.read_bytes())
        tflite = destination.with_suffix(".tflite")
        _write(tflite, (place / TFLITE_NAME).read_bytes())
        built = None
        if options.build is not None:
            request = BuildRequest(tflite, row["target"], optimize=row["optimize"])
            built = build_project(request, options.build, progress=progress)
    document = {**row, "model": str(target), "tflite": str(tflite)}
    if built is not None:
        document["project"] = str(options.build)

    def show() -> None:
        out().line(f"point {row['number']}: {_settings(row)}")
        out().line(f"held-out samples  {score_text(row['held_out'])}")
        out().line(f"test split        {score_text(row['test'])}")
        out().line(f"wrote {target} and {tflite}")
        out().detail(json.dumps(row["steps"]))

    out().result(document, show)
    if built is None:
        out().note(
            f"next:  edgepack build {tflite} --target {row['target']} "
            f"--optimize {row['optimize']} -o firmware"
        )
    else:
        out().note(f"next:  edgepack bench {options.build}")


def _ways(options: SweepOptions) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The schemes and the preferences of the build that are asked for."""
    from edgepack.pipeline.measure import Optimize
    from edgepack.quantize.recipe import Scheme

    schemes = _each("--scheme", options.scheme or "int8", get_args(Scheme))
    return schemes, _each("--optimize", options.optimize or "balanced", get_args(Optimize))


def _each(option: str, text: str, allowed: tuple[Any, ...]) -> tuple[Any, ...]:
    from edgepack.errors import UsageError

    chosen = tuple(part.strip() for part in text.split("|"))
    for part in chosen:
        if part not in allowed:
            raise UsageError(f"{option} {part!r}", allowed="|".join(allowed))
    return chosen


def _show(document: dict[str, Any], folder: Path) -> None:
    o, fronts = out(), document["front"]
    columns = [Column("point", right=True), Column("settings"), Column("held out", right=True)]
    columns += [Column(title, right=True) for title in ("flash", "RAM", "instructions")]
    columns.append(Column("on the front of"))
    rows = []
    for row in document["points"]:
        cells = [str(row["number"]), _settings(row)]
        if "error" in row:
            rows.append([*cells, "failed", "", "", "", row["error"]])
            continue
        names = {"flash": "flash", "ram": "RAM", "instructions": "instructions", "all": "all"}
        best = [title for name, title in names.items() if row["number"] in fronts[name]]
        costs = [f"{row[cost]:,.0f}" for cost in ("flash", "ram", "instructions")]
        rows.append([*cells, score_text(row["held_out"]), *costs, ", ".join(best)])
    o.table(columns, rows)
    wrong = [row["number"] for row in document["points"] if row.get("mismatched_bytes")]
    if wrong:
        o.line(f"outputs differ from the oracle's at points {wrong}", style="red")
    o.note(f"wrote {folder / 'sweep.json'}")


def _settings(row: dict[str, Any]) -> str:
    parts = []
    for key, value in row["varied"].items():
        step, _, name = key.rpartition(".")
        if key == RECIPE:
            parts.append(str(value))
        elif name != USE:
            parts.append(f"{key}={value}")
        elif not value:
            parts.append(f"{step} left out")
    varied = ", ".join(parts) or ("every step" if row["steps"] else "")
    return f"{varied or 'as it is'} ({row['scheme']}, {row['optimize']})"
