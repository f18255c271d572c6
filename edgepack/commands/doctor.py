"""`edgepack doctor`."""

from __future__ import annotations

from edgepack.commands.output import Column, out
from edgepack.errors import MissingToolError


def doctor() -> None:
    """Show what is installed, what is missing, and the command that installs it.

    Exits with 8 when something is missing that `edgepack run` needs on an emulated board.

    \b
    Examples:
        edgepack doctor
        edgepack doctor --json
    """
    from edgepack.doctor import Check, examine

    def state(check: Check) -> str:
        if check.found:
            return "ok"
        return "MISSING" if check.required else "not installed"

    with out().progress() as progress:
        progress("looking", None, "")
        checks = examine()
    missing = [check for check in checks if check.required and not check.found]

    def show() -> None:
        out().table(
            [Column("tool"), Column("state"), Column("what for"), Column("version")],
            [[c.name, state(c), c.purpose, c.version or c.problem] for c in checks],
        )
        absent = [check for check in checks if not check.found]
        if absent:
            out().line("To install what is not there:")
        for command in dict.fromkeys(c.install for c in absent if c.install):
            out().line(f"  {command}")
        for check in absent:
            if check.install is None:
                out().line(f"  {check.name}: install it with this system's package manager")

    document = {"ok": not missing, "checks": [check.as_dict() for check in checks]}
    out().result(document, show)
    if missing:
        names = ", ".join(check.name for check in missing)
        if out().options.as_json:
            import typer

            raise typer.Exit(MissingToolError.exit_code)
        raise MissingToolError(
            f"edgepack run cannot work without: {names}",
            next_step=missing[0].install,
        )
