"""What the README tells people to type works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_MARKED = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)\)")
_PATH = re.compile(r"`((?:edgepack|targets|templates|firmware|docs|examples)/[\w./-]+)`")


def _readme(checkout: Path) -> str:
    return (checkout / "README.md").read_text(encoding="utf-8")


def _blocks() -> list[str]:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    return _MARKED.findall(text)


@pytest.fixture
def copy(checkout: Path, tmp_path: Path) -> Path:
    """A folder in which the README's commands find what they name."""
    shutil.copytree(
        checkout / "examples",
        tmp_path / "examples",
        ignore=shutil.ignore_patterns("build", ".edgepack-cache", "__pycache__"),
    )
    return tmp_path


def test_there_are_commands_to_run() -> None:
    assert len(_blocks()) >= 2


@pytest.mark.emulator
@pytest.mark.needs_oracle
@pytest.mark.parametrize("number", range(len(_blocks())))
def test_the_commands_work(number: int, copy: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for line in _blocks()[number].strip().splitlines():
        done = subprocess.run(
            shlex.split(line, comments=True),
            cwd=copy,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), f"{line} printed nothing"


def test_what_it_points_to_exists(checkout: Path) -> None:
    text = _readme(checkout)
    named = {*_LINK.findall(text), *_PATH.findall(text)}
    assert len(named) > 10
    absent = sorted(name for name in named if not (checkout / name).exists())
    assert not absent


def test_the_tables_it_names_exist(checkout: Path) -> None:
    """`NAME` in `file` of "Adding things": the table is there, under that name."""
    pairs = re.findall(r"`(\w+)` in `([\w/]+\.py)`", _readme(checkout))
    assert len(pairs) >= 5
    for name, file in pairs:
        source = (checkout / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def )?{name}\b", source, re.MULTILINE), f"{name} is not in {file}"
