"""What a command prints: tables, progress and errors for people, one JSON document for machines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgepack.commands.arguments import CommonOptions
from edgepack.errors import EdgepackError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from edgepack.models.progress import Progress

_PIPE_WIDTH = 200  # columns; nothing is folded for a reader that is a program


@dataclass(frozen=True)
class Column:
    """One column of a table; figures are set flush right."""

    title: str
    right: bool = False


class Output:
    """Where a command writes. Results go to standard output, everything else to standard error."""

    def __init__(self, options: CommonOptions) -> None:
        self.options = options

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, markup=False)

    def console(self) -> Console:
        """Standard output for what prints itself; as wide as need be where it is not a terminal."""
        console = self._console(stderr=False)
        if not console.is_terminal:
            console.width = max(console.width, _PIPE_WIDTH)
        return console

    @property
    def chatty(self) -> bool:
        """Whether anything but results and errors is wanted."""
        return not (self.options.quiet or self.options.as_json)

    def result(self, document: Mapping[str, Any] | Sequence[Any], show: Callable[[], None]) -> None:
        """Print a command's result: `document` with --json, otherwise by calling `show`."""
        if self.options.as_json:
            self.json(document)
        else:
            show()

    def json(self, document: Mapping[str, Any] | Sequence[Any]) -> None:
        """One JSON document on standard output."""
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """A line of the result; not printed with --json."""
        if not self.options.as_json:
            self._console(stderr=False).print(text, style=style)

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, title: str | None = None
    ) -> None:
        """A table of the result; not printed with --json. Wide tables are not folded in a pipe."""
        if self.options.as_json:
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for column in columns:
            table.add_column(Text(column.title), justify="right" if column.right else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console().print(table)

    def note(self, text: str) -> None:
        """A remark on standard error that --quiet and --json leave out."""
        if self.chatty:
            self._console(stderr=True).print(text)

    def detail(self, text: str) -> None:
        """A remark on standard error that only --verbose prints."""
        if self.options.verbose:
            self._console(stderr=True).print(text, style="dim")

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress bars, one per stage; the block gives what it is handed to whatever takes long.

        On a terminal the bars disappear when the block is left; elsewhere each stage is one line
        when it begins, or with --verbose one line per message.
        """
        if self.options.verbose or not self.chatty:
            yield self._log
            return
        if not sys.stderr.isatty():
            yield self._name_stages()
            return
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[message]}"),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=self._console(stderr=True), transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def show(stage: str, fraction: float | None, message: str) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=None, message=message)
                total = None if fraction is None else 1.0
                bars.update(tasks[stage], completed=fraction or 0, total=total, message=message)

            yield show

    def _name_stages(self) -> Progress:
        seen: set[str] = set()

        def name(stage: str, fraction: float | None, message: str) -> None:
            if stage not in seen:
                seen.add(stage)
                self.note(f"{stage} ...")

        return name

    def _log(self, stage: str, fraction: float | None, message: str) -> None:
        done = "" if fraction is None else f" {fraction:4.0%}"
        self.detail(f"{stage}{done} {message}".rstrip())

    def error(self, error: EdgepackError, *, exit_code: int | None = None) -> None:
        """The fixed form of every error: message, what is allowed, what to do next."""
        if self.options.as_json:
            document = error.as_dict()
            if exit_code is not None:
                document |= {"error": "internal_error", "exit_code": exit_code}
            self.json(document)
            return
        console = self._console(stderr=True)
        from rich.text import Text

        console.print(Text.assemble(("error: ", "bold red"), error.message))
        if error.allowed:
            console.print(Text.assemble(("allowed: ", "bold"), error.allowed))
        if error.next_step:
            console.print(Text.assemble(("next: ", "bold green"), error.next_step))

    def stopped(self, why: str) -> None:
        """Say that the user, or the system, ended the command."""
        if self.options.as_json:
            self.json({"error": why})
        else:
            sys.stderr.write(f"{why}\n")


_current: ContextVar[Output | None] = ContextVar("edgepack_output", default=None)


@contextlib.contextmanager
def use(output: Output) -> Iterator[None]:
    """Make `output` what `out()` returns inside the block."""
    token = _current.set(output)
    try:
        yield
    finally:
        _current.reset(token)


def out() -> Output:
    """The output of the command that is running."""
    current = _current.get()
    return current if current is not None else Output(CommonOptions())
