"""A folder on the phone that is gone when its user is done, whatever happened in between."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edgepack.errors import EdgepackError
from edgepack.link.adb_errors import (
    PhoneLostError,
    PhonePermissionError,
    classify,
)
from edgepack.link.adb_phone import PhoneLink, ShellResult

PARENT = "/data/local/tmp"
PID_FILE = "pid"
_MARK = "edgepack-"
_PAUSE_SECONDS = 0.3


@dataclass
class RemoteFolders:
    """The folders that edgepack has made on one phone and has not yet removed.

    patience: seconds for which a clean-up is tried again on a phone that is away.
    """

    link: PhoneLink
    parent: str = PARENT
    patience: float = 15.0
    left: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def folder(self) -> Iterator[str]:
        """A new folder; leaving the block ends what runs in it and removes it.

        Raises:
            PhonePermissionError, PhoneStorageError: it cannot be made.
            PhoneLostError: the block went well, and the folder could not be removed afterwards. An
                error of the block itself is passed on, and says what is left.
        """
        path = f"{self.parent}/{_MARK}{secrets.token_hex(6)}"
        self.left.append(path)
        try:
            self._make(path)
            yield path
        except BaseException as error:
            remains = self.remove()
            if remains is not None and isinstance(error, EdgepackError):
                error.message += f"; {remains}"
                error.args = (error.message,)
            raise
        remains = self.remove()
        if remains is not None:
            raise PhoneLostError(
                f"phone {self.link.serial} was lost after the run: {remains}",
                next_step="reconnect it and run the command that the message names",
            )

    def _make(self, path: str) -> None:
        made = self.link.shell(f"mkdir -p {shlex.quote(path)}")
        if made.code == 0:
            return
        known = classify(made.stderr, f"create {path}", self.link.serial)
        raise known or PhonePermissionError(
            f"phone {self.link.serial} cannot create {path}: {made.tail(1)}",
            next_step="--phone-dir FOLDER",
        )

    def remove(self) -> str | None:
        """Remove all that is left, trying again until `patience` is over.

        Returns:
            None, or in words what is still there and how to remove it.
        """
        deadline = time.monotonic() + self.patience
        while self.left:
            path = self.left[0]
            try:
                self.link.wait(max(deadline - time.monotonic(), _PAUSE_SECONDS))
                gone = self.link.shell(_removal(path))
            except EdgepackError as error:
                if time.monotonic() >= deadline:
                    return self._words(error.message)
                time.sleep(_PAUSE_SECONDS)
                continue
            if gone.code != 0:
                return self._words(gone.tail(1))
            self.left.pop(0)
        return None

    def remains(self, why: str) -> str | None:
        """In words what is still on the phone, None when nothing is."""
        return self._words(why) if self.left else None

    def _words(self, why: str) -> str:
        paths = " ".join(self.left)
        return (
            f"{paths} is left on the phone ({why}); to remove it: "
            f"adb -s {self.link.serial} shell rm -rf {paths}"
        )


def _removal(path: str) -> str:
    """Ends the program that runs in the folder, removes the folder, looks whether it is gone.

    The id that stands there may by now be another program's: only one in the folder is ended.
    """
    quoted = shlex.quote(path)
    own = f'p=$(cat {quoted}/{PID_FILE}) && [ "$(readlink /proc/$p/cwd)" = {quoted} ] && kill -9 $p'
    return f"({own}) 2>/dev/null; rm -rf {quoted}; [ ! -e {quoted} ]"


def run_program(
    link: PhoneLink,
    folder: str,
    words: list[str],
    *,
    seconds: float,
    check: Callable[[PhoneLink, str, ShellResult], None],
    prefix: str = "",
) -> ShellResult:
    """Run a program in a folder; its process id stands there while it runs.

    Args:
        words: the program's path and arguments.
        seconds: after which it is given up.
        check: raises what the shell's exit code says.
        prefix: words in front, such as `taskset f0`.

    Raises:
        PhoneNoExecError: the phone does not run it. And as `PhoneLink.shell`.
    """
    program = shlex.join(words)
    line = f"cd {shlex.quote(folder)} && echo $$ > {PID_FILE} && exec {prefix}{program}"
    # a shell of its own, whose id stays that of the program
    result = link.shell(f"sh -c {shlex.quote(line)}", timeout=seconds)
    check(link, words[0], result)
    return result
