"""Tasks in child processes: answers, errors, crashes, time limits, and nothing left behind."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from edgepack.errors import ConversionError, DataError, MissingToolError
from edgepack.models import isolate
from edgepack.models.isolate import CrashError, Task, require_package, run_task, warm_children

# A bare Python starts in well under a second; a loaded machine gets all the time it wants.
GENEROUS = 60.0


def task(name: str, timeout: float = GENEROUS, **arguments: Any) -> Task:
    return Task(f"tests.unit.isolate_tasks:{name}", arguments, f"task {name}", timeout)


def test_result_and_progress_arrive_in_order() -> None:
    seen: list[tuple[str, float | None, str]] = []
    result = run_task(task("answer", value=21), lambda *step: seen.append(step))
    assert result["twice"] == 42
    assert result["pid"] != os.getpid()
    assert seen == [("count", 0.0, "one"), ("count", 1.0, "two")]


def test_noise_reaches_neither_the_reply_nor_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run_task(task("noisy")) == {"done": True}
    assert capfd.readouterr() == ("", "")


def test_a_typed_error_arrives_as_itself() -> None:
    with pytest.raises(DataError) as caught:
        run_task(task("typed_error"))
    assert (caught.value.message, caught.value.allowed, caught.value.next_step) == (
        "no samples",
        "some",
        "add some",
    )


def test_any_other_exception_becomes_a_conversion_error() -> None:
    with pytest.raises(ConversionError, match="ZeroDivisionError: by nothing"):
        run_task(task("any_error"))


def test_a_crash_is_named_with_the_last_words() -> None:
    with pytest.raises(CrashError, match=r"task crash crashed.*SIGSEGV\n  fatal: the last words$"):
        run_task(task("crash"))


def test_an_exit_without_an_answer_is_an_error() -> None:
    with pytest.raises(ConversionError, match="exit code 3"):
        run_task(task("leave"))


def test_a_task_that_hangs_is_stopped() -> None:
    pids: list[int] = []
    started = time.monotonic()
    with pytest.raises(ConversionError, match="within 3 s"):
        run_task(task("hang", timeout=3.0), lambda _s, _f, message: pids.append(int(message)))
    assert time.monotonic() - started < GENEROUS
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_warm_children_are_used_once_each_and_not_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[int] = []

    class Counted(isolate._Child):
        def __init__(self, preload: bool) -> None:
            super().__init__(preload=False)  # no TensorFlow: only the bookkeeping is tested
            started.append(self.process.pid)

    monkeypatch.setattr(isolate, "_Child", Counted)
    with warm_children(3):
        first = run_task(task("answer", value=1))["pid"]
        second = run_task(task("answer", value=2))["pid"]
    assert [first, second] == started[:2]
    assert len(started) == 3  # the third was ready and not needed
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_missing_package_names_the_command_that_installs_it() -> None:
    with pytest.raises(MissingToolError) as caught:
        require_package("no_such_package_here", extra="tf", why="to train")
    assert caught.value.next_step == "pip install 'edgepack[tf]'"
