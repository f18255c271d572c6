"""The subprocess wrapper: results, time-outs, missing programs, and no orphans."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from edgepack.errors import MissingToolError
from edgepack.runner import CommandError, background, run

# A child that starts a grandchild, writes its pid, and ends at once or stays.
_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(float(sys.argv[2]))
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _alive(pid)


def test_collects_output_and_exit_code() -> None:
    result = run(
        [sys.executable, "-c", "print('out'); raise SystemExit(3)"], timeout=30, check=False
    )
    assert (result.stdout.strip(), result.returncode) == ("out", 3)


def test_a_failure_shows_the_command_and_its_last_words() -> None:
    with pytest.raises(CommandError, match=r"(?s)exit code 1.*boom") as caught:
        run([sys.executable, "-c", "raise SystemExit('boom')"], timeout=30, what="explode")
    assert caught.value.message.startswith("explode failed")
    assert caught.value.result.stderr.strip() == "boom"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MissingToolError, match="no-such-program"):
        run(["no-such-program"], timeout=5)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_time_out_ends_grandchildren_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(CommandError, match="did not finish within"):
        run([sys.executable, "-c", _PARENT, str(note), "60"], timeout=3)
    assert _gone(int(note.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_that_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with background([sys.executable, "-c", _PARENT, str(note), "0"]) as child:
        child.wait(30)
        grandchild = int(note.read_text())
        assert _alive(grandchild)
    assert _gone(grandchild)


def test_the_environment_is_added_to() -> None:
    code = "import os; print(os.environ['EP_TEST'], 'PATH' in os.environ)"
    result = run([sys.executable, "-c", code], timeout=30, env={"EP_TEST": "yes"})
    assert result.stdout.split() == ["yes", str("PATH" in os.environ)]
