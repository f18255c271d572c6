"""How a command line ends: exit codes, the form of errors, the options that all commands share."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack import __version__, cli, errors
from edgepack.commands.arguments import CommonOptions, hoist
from edgepack.errors import EdgepackError, FitError


def _command(monkeypatch: pytest.MonkeyPatch, body: Callable[[], Any]) -> None:
    def probe() -> None:
        """Stand in for a command."""
        body()

    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, ("probe", probe)))


def _raise(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def test_exit_codes_are_distinct() -> None:
    kinds = [kind for kind in vars(errors).values() if _is_error(kind)]
    codes = [kind.exit_code for kind in kinds]
    assert len(kinds) > 15
    assert len(set(codes)) == len(codes)
    assert not {cli.EXIT_CRASH, cli.EXIT_INTERRUPTED, cli.EXIT_TERMINATED} & set(codes)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, EdgepackError)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"edgepack {__version__}\n"


def test_an_error_has_its_form_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = FitError(
        "kws needs 9 bytes [too] many", allowed="at most 1", next_step="edgepack targets"
    )
    _command(monkeypatch, _raise(error))
    assert cli.run(["probe"]) == FitError.exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "error: kws needs 9 bytes [too] many",
        "allowed: at most 1",
        "next: edgepack targets",
    ]


@pytest.mark.parametrize("argv", [["--json", "probe"], ["probe", "--json"]])
def test_an_error_as_json(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command(monkeypatch, _raise(FitError("too big")))
    assert cli.run(argv) == FitError.exit_code
    document = json.loads(capsys.readouterr().out)
    assert document["error"] == "fit_error"
    assert document["exit_code"] == FitError.exit_code


def test_a_crash_leaves_a_log_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command(monkeypatch, _raise(ZeroDivisionError("by nought")))
    assert cli.run(["probe"]) == cli.EXIT_CRASH
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    log = Path(printed.rsplit(" ", 1)[1].strip())
    assert "ZeroDivisionError: by nought" in log.read_text(encoding="utf-8")
    log.unlink()


def test_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _command(monkeypatch, _raise(KeyboardInterrupt()))
    assert cli.run(["probe"]) == cli.EXIT_INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_termination_unwinds(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = []

    def body() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    _command(monkeypatch, body)
    assert cli.run(["probe"]) == cli.EXIT_TERMINATED
    assert cleaned


@pytest.mark.parametrize("argv", [["nonsense"], ["doctor", "--nonsense"], ["doctor", "more"]])
def test_wrong_arguments(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(argv) == errors.UsageError.exit_code
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert "next: edgepack" in printed


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == errors.UsageError.exit_code
    assert "Commands:" in capsys.readouterr().out


def test_common_options_stand_anywhere(tmp_path: Path) -> None:
    assert hoist(["-q", "doctor"]) == (CommonOptions(quiet=True), ["doctor"])
    assert hoist(["doctor", "--json", "-v"]) == (CommonOptions(True, False, True), ["doctor"])
    assert hoist(["doctor", "--", "--json"]) == (CommonOptions(), ["doctor", "--", "--json"])


def test_bench_writes_json_to_a_file_or_to_standard_output(tmp_path: Path) -> None:
    folder = str(tmp_path)
    to_file = ["bench", folder, "--json", "run.json"]
    assert hoist(to_file) == (CommonOptions(), to_file)
    json_only = CommonOptions(as_json=True)
    assert hoist(["bench", folder, "--json"]) == (json_only, ["bench", folder])
    assert hoist(["bench", "--json", folder]) == (json_only, ["bench", folder])
    assert hoist(["bench", "--json", "--samples", "3"]) == (json_only, ["bench", "--samples", "3"])
