"""`edgepack targets`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.targets import AppTarget, Target


def targets(
    name: Annotated[
        str | None,
        typer.Argument(help="Show everything about this target; or `new`.", show_default=False),
    ] = None,
    board: Annotated[
        str | None, typer.Argument(help="After `new`: the id of the board.", show_default=False)
    ] = None,
    soc: Annotated[
        str | None,
        typer.Option(
            help="After `new`: the id of its chip; by default that of the board. A chip that "
            "edgepack knows needs no record of its own.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="After `new`: a folder for boards/ and soc/; by default $EDGEPACK_TARGETS, else "
            "edgepack's own.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the boards and kinds of apps that edgepack knows, all about one, or start a new board.

    `new` writes records with a "?" wherever a fact is missing, and overwrites nothing.

    \b
    Examples:
        edgepack targets
        edgepack targets netduinoplus2
        edgepack targets new my-board --soc stm32f405
        edgepack targets new my-board --dir my-targets
    """
    from edgepack.errors import UsageError
    from edgepack.targets import app_names, load_app, load_target, load_targets

    if name == "new":
        _new(board, soc, directory)
        return
    if board is not None or soc is not None or directory is not None:
        raise UsageError(
            "a second name, --soc and --dir go with `new` alone",
            next_step=f"edgepack targets new {board or 'NAME'}",
        )
    if name is None:
        found, apps = load_targets(), [load_app(app) for app in app_names()]
        out().result(
            [*(_summary(target) for target in found), *(_app_summary(app) for app in apps)],
            lambda: _list(found, apps),
        )
        return
    if name in app_names():
        app = load_app(name)
        out().result({**_app_summary(app), **app.model_dump(mode="json")}, lambda: _show_app(app))
        return
    target = load_target(name)
    document = {
        **_summary(target),
        "board": target.board.model_dump(mode="json"),
        "soc": target.soc.model_dump(mode="json"),
    }
    out().result(document, lambda: _show(target))


def _new(board: str | None, soc: str | None, directory: Path | None) -> None:
    from edgepack.errors import UsageError
    from edgepack.resources import targets_dir
    from edgepack.targets import VARIABLE, scaffold_target, soc_names, target_names

    if board is None:
        raise UsageError("a new target needs a name", next_step="edgepack targets new NAME")
    own = os.environ.get(VARIABLE)
    folder = directory or (Path(own) if own else targets_dir())
    if directory is None and own is None and targets_dir().parent.name == "_data":
        raise UsageError(
            "records do not belong into an installed package",
            allowed=f"--dir FOLDER, or a folder named by {VARIABLE}",
            next_step=f"edgepack targets new {board} --dir my-targets",
        )
    made = scaffold_target(board, soc, folder, target_names(), soc_names())
    listed = folder.resolve() in (targets_dir().resolve(), Path(own or targets_dir()).resolve())
    document = {"board": str(made.board), "soc": None if made.soc is None else str(made.soc)}

    def show() -> None:
        o = out()
        for path in made.files:
            o.line(f"wrote {path}")
        o.line('replace every "?" in it, cite a source for each fact, delete what does not apply')
        if made.soc is not None:
            o.line(
                f"then write firmware/port/{soc or board}/port.c against firmware/port/ep_port.h "
                "(docs/targets.md, Adding a chip)"
            )
        command = f"edgepack targets {board}"
        o.note(f"next:  {command if listed else f'{VARIABLE}={folder} {command}'}")

    out().result(document, show)


def _summary(target: Target) -> dict[str, Any]:
    return {
        "id": target.id,
        "name": target.board.name,
        "kind": target.kind.value,
        "cpu": target.cpu,
        "isa": list(target.isa),
        "clock_hz": target.clock_hz,
        "flash_bytes": target.flash_bytes,
        "ram_bytes": target.ram_bytes,
        "verified": target.verified.value,
    }


def _app_summary(app: AppTarget) -> dict[str, Any]:
    return {
        "id": app.id,
        "name": app.name,
        "kind": "app",
        "language": app.language,
        "runtime": app.runtime,
        "verified": app.verified.value,
    }


def _list(found: tuple[Target, ...], apps: list[AppTarget]) -> None:
    columns = [
        Column("target"),
        Column("board"),
        Column("cpu"),
        Column("clock [MHz]", right=True),
        Column("flash [KiB]", right=True),
        Column("RAM [KiB]", right=True),
        Column("kind"),
        Column("verified"),
    ]
    rows = [
        [
            target.id,
            target.board.name,
            " ".join((target.cpu, *target.isa)),
            "" if target.clock_hz is None else f"{target.clock_hz / 1e6:g}",
            _kib(target.flash_bytes),
            _kib(target.ram_bytes),
            target.kind.value,
            target.verified.value,
        ]
        for target in found
    ]
    out().table(columns, rows)
    out().table(
        [
            Column("target"),
            Column("app"),
            Column("language"),
            Column("runtime"),
            Column("verified"),
        ],
        [[app.id, app.name, app.language, app.runtime, app.verified.value] for app in apps],
    )


def _show_app(app: AppTarget) -> None:
    out().line(f"{app.id}: {app.name}, {app.language} ({app.runtime})")
    out().line(f"verified: {app.verified.value}, {app.verified_how}")
    record = app.model_dump(mode="json")
    _facts({key: record[key] for key in ("versions", "facts", "notes")}, 1)


def _kib(size: int | None) -> str:
    return "" if size is None else f"{size / 1024:,.0f}"


def _show(target: Target) -> None:
    o = out()
    o.line(f"{target.id}: {target.board.name} ({target.kind.value})")
    o.line(f"verified: {target.verified.value}, {target.board.verified_how}")
    for title, record in (("board", target.board), ("chip", target.soc)):
        o.line()
        o.line(title, style="bold")
        _facts(record.model_dump(mode="json"), 1)


def _facts(record: Mapping[str, Any], depth: int) -> None:
    """One fact per line, as deep as the record goes."""
    pad = "  " * depth
    for key, value in record.items():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping):
            out().line(f"{pad}{key}")
            _facts(value, depth + 1)
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            for item in value:
                out().line(f"{pad}{key}")
                _facts(item, depth + 1)
        else:
            out().line(f"{pad}{key}: {_value(key, value)}")


def _value(key: str, value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if key in ("origin", "base") and isinstance(value, int):
        return f"0x{value:08x}"
    if key in ("vid", "pid") and isinstance(value, int):
        return f"{value:04x}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
