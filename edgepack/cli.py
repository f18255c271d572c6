"""The command line: which commands there are, what is common to all, and how each ends.

The bodies of the commands stand in edgepack/commands; they import what they need when they run, so
that `edgepack --help` loads neither numpy nor a compiler's worth of code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from edgepack import __version__
from edgepack.commands import (
    bench,
    build,
    compress,
    convert,
    devices,
    doctor,
    flash,
    inspect,
    quantize,
    report,
    run_all,
    serve,
    targets,
)
from edgepack.commands.arguments import hoist
from edgepack.commands.output import Output, use
from edgepack.errors import EdgepackError

EXIT_CRASH = 70  # sysexits.h: an internal software error
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_TERMINATED = 143  # 128 + SIGTERM
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

# In the order in which `edgepack --help` lists them; a new command is a file and a line here.
COMMANDS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("run", run_all.run),
    ("inspect", inspect.inspect),
    ("convert", convert.convert),
    ("compress", compress.compress),
    ("quantize", quantize.quantize),
    ("build", build.build),
    ("flash", flash.flash),
    ("bench", bench.bench),
    ("report", report.report),
    ("serve", serve.serve),
    ("targets", targets.targets),
    ("devices", devices.devices),
    ("doctor", doctor.doctor),
)


class _Terminated(BaseException):
    """SIGTERM arrived: unwind, so that temporary files and child processes are cleaned up."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"edgepack {__version__}")
        raise typer.Exit


def _root(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but results and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print each step, and tracebacks on a crash.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """From a trained network to firmware that runs on a microcontroller, with proof.

    \b
    Start here:
        edgepack doctor                 what is installed, what is missing
        edgepack run edgepack.toml      everything, from the model to the report
        edgepack inspect model.tflite   what is in a model and where it fits

    The options below may also stand after a command.
    """


def make_app() -> typer.Typer:
    """The application, with every command of `COMMANDS`."""
    app = typer.Typer(
        name="edgepack",
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )
    app.callback()(_root)
    for name, function in COMMANDS:
        app.command(name, no_args_is_help=False)(function)
    return app


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised."""
    options, rest = hoist(argv)
    output = Output(options)
    try:
        with use(output), _terminable():
            code = make_app()(rest, prog_name="edgepack", standalone_mode=False)
            sys.stdout.flush()
        if code == EXIT_INTERRUPTED:  # how typer reports Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except EdgepackError as error:
        output.error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        output.stopped("interrupted")
        return EXIT_INTERRUPTED
    except _Terminated:
        output.stopped("terminated")
        return EXIT_TERMINATED
    except BrokenPipeError:
        # the reader of our output left; keep Python from complaining when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except Exception as error:
        return _usage(error, output) or _crash(error, argv, output)


def _usage(error: Exception, output: Output) -> int | None:
    """The exit code of a mistake in the arguments, or None when `error` is something else."""
    # typer's own classes moved between releases; these attributes did not
    text = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    if not callable(text) or not isinstance(code, int):
        return None
    message = str(text())
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "edgepack"
    if not message or message.startswith("Usage:"):  # no command given: typer wants the help shown
        sys.stdout.write((message or context.get_help() if context else message) + "\n")
        return code
    from edgepack.errors import UsageError

    output.error(UsageError(message, next_step=f"{command} --help"))
    return UsageError.exit_code


def _crash(error: Exception, argv: Sequence[str], output: Output) -> int:
    """Write what is needed to find a defect in edgepack to a file, and say where it is."""
    trace = "".join(traceback.format_exception(error))
    handle, name = tempfile.mkstemp(prefix="edgepack-crash-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(
            f"edgepack {__version__}, Python {sys.version}\n"
            f"arguments: {list(argv)}\ndirectory: {Path.cwd()}\n\n{trace}"
        )
    if output.options.verbose:
        sys.stderr.write(trace)
    output.error(
        EdgepackError(
            f"edgepack itself failed: {type(error).__name__}: {error}",
            next_step=f"report it together with {name}",
        ),
        exit_code=EXIT_CRASH,
    )
    return EXIT_CRASH


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception for as long as the block runs."""

    def terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread: the caller keeps its own handling
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
