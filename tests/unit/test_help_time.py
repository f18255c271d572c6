"""`edgepack --help` is what people type first: it must not load the whole of edgepack."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgepack.cli import COMMANDS

# What a person sees as immediate. Processor time, the best of several runs: on an idle machine it
# is the time on the clock, and other processes (the suite runs several) hardly add to it.
LIMIT_SECONDS = 0.3
ATTEMPTS = 8


def _help(*arguments: str) -> float:
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "edgepack", *arguments, "--help"],
        check=True,
        capture_output=True,
        timeout=30,
    )
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


def test_help_is_immediate() -> None:
    best = min(_help() for _ in range(ATTEMPTS))
    assert best < LIMIT_SECONDS, f"edgepack --help took {best:.2f} s at best"


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    """Counts modules instead of time, so that a busy machine does not matter."""
    code = (
        "import sys\nfrom edgepack.cli import run\n"
        f"code = run([{name!r}, '--help'])\n"
        "heavy = {'numpy', 'rich', 'jinja2', 'serial', 'elftools', 'ai_edge_litert'}\n"
        "sys.exit(code or ' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from edgepack.cli import run

    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"edgepack {name}" in text.split("Example", 1)[1]
