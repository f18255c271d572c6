"""One phone through adb: commands whose end is certain, files whose bytes are certain."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgepack.errors import DataError
from edgepack.link.adb_errors import (
    PhoneTransferError,
    classify,
    lost,
    no_exec,
    storage_full,
)
from edgepack.link.adb_program import Adb
from edgepack.link.cksum import cksum


@dataclass(frozen=True)
class ShellResult:
    """A command that ran to its end on the phone."""

    code: int
    stdout: str
    stderr: str

    def tail(self, lines: int = 6) -> str:
        """The last lines it printed, standard error first."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


class PhoneLink(Protocol):
    """What a benchmark needs of a phone. Implementation: `AdbPhone`."""

    @property
    def serial(self) -> str:
        """The phone's name for messages and for `--phone`."""
        ...

    def shell(self, command: str, *, timeout: float | None = None) -> ShellResult:
        """Run a command of the phone's shell to its end.

        Raises:
            PhoneLostError, PhoneSilentError: it is not certain that it ended.
        """
        ...

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the phone; its checksum there has been compared.

        Raises:
            PhoneStorageError, PhonePermissionError, PhoneTransferError, PhoneLostError,
            PhoneSilentError: what went wrong.
        """
        ...

    def pull(self, remote: str, local: Path) -> bytes:
        """Copy a file from the phone and return its bytes; they are those that the phone has.

        Raises:
            As `push`.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Until the phone can be used again after it was lost."""
        ...


class AdbPhone:
    """A phone that `choose_phone` named."""

    def __init__(self, adb: Adb, serial: str) -> None:
        self._adb = adb
        self.serial = serial

    def shell(self, command: str, *, timeout: float | None = None) -> ShellResult:
        """See `PhoneLink.shell`.

        adb (29) ends with exit code 0 when the phone is lost, so the command's end is marked by a
        word that nobody else can have printed, with its exit code.
        """
        seconds = self._adb.timing.quick if timeout is None else timeout
        word = f"ep-{secrets.token_hex(8)}"
        marked = f"({command}\n); r=$?; echo; echo {word} $r"
        what = _short(command)
        result = self._adb.run(
            ["-s", self.serial, "shell", "-T", marked],
            timeout=seconds,
            what=what,
            serial=self.serial,
        )
        text, found, tail = result.stdout.replace("\r\n", "\n").rpartition(f"\n{word} ")
        if not found or not tail.strip().isdigit() or not tail.endswith("\n"):
            known = classify(result.stderr, what, self.serial)
            raise known or lost(what, self.serial, result.stderr.strip())
        return ShellResult(int(tail), text, result.stderr)

    def push(self, local: Path, remote: str) -> None:
        """See `PhoneLink.push`."""
        data = local.read_bytes()
        what = f"push {local.name}"
        result = self._adb.run(
            ["-s", self.serial, "push", str(local), remote],
            timeout=self._transfer_seconds(len(data)),
            what=what,
            serial=self.serial,
        )
        text = f"{result.stdout}\n{result.stderr}"
        if result.returncode != 0 or "adb: error" in text:
            raise classify(text, what, self.serial) or lost(what, self.serial, result.tail(2))
        there = self.checksum(remote, what)
        if there != (cksum(data), len(data)):
            raise PhoneTransferError(
                f"{local.name} arrived on phone {self.serial} with other bytes: checksum and size "
                f"{there}, sent {(cksum(data), len(data))}",
                next_step="run the same command again; if it happens again, another cable or port",
            )

    def pull(self, remote: str, local: Path) -> bytes:
        """See `PhoneLink.pull`."""
        what = f"pull {remote.rpartition('/')[2]}"
        expected = self.checksum(remote, what)
        local.unlink(missing_ok=True)
        result = self._adb.run(
            ["-s", self.serial, "pull", remote, str(local)],
            timeout=self._transfer_seconds(expected[1]),
            what=what,
            serial=self.serial,
        )
        text = f"{result.stdout}\n{result.stderr}"
        if result.returncode != 0 or "adb: error" in text:
            raise classify(text, what, self.serial) or lost(what, self.serial, result.tail(2))
        try:
            data = local.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {local}: {error.strerror}") from error
        if (cksum(data), len(data)) != expected:
            raise PhoneTransferError(
                f"{remote} arrived from phone {self.serial} with other bytes: checksum and size "
                f"{(cksum(data), len(data))}, there {expected}",
                next_step="run the same command again; if it happens again, another cable or port",
            )
        return data

    def checksum(self, remote: str, what: str) -> tuple[int, int]:
        """The checksum (`cksum`) and size of a file as the phone computes them.

        Raises:
            PhoneTransferError: there is no such file, or no `cksum`.
        """
        result = self.shell(f"cksum {shlex.quote(remote)}")
        words = result.stdout.split()
        if result.code != 0 or len(words) < 2 or not (words[0] + words[1]).isdigit():
            known = classify(result.stderr, what, self.serial)
            raise known or PhoneTransferError(
                f"{what}: phone {self.serial} has no checksum of {remote}: {result.tail(2)}",
                allowed="Android 7 or newer, whose shell has cksum",
            )
        return int(words[0]), int(words[1])

    def wait(self, seconds: float) -> None:
        """See `PhoneLink.wait`."""
        if ":" in self.serial and self._adb.state(self.serial) is None:
            self._adb.connect(self.serial, seconds)
        else:
            self._adb.wait(self.serial, seconds)

    def _transfer_seconds(self, size: int) -> float:
        timing = self._adb.timing
        return timing.transfer + size / timing.transfer_rate


def check_program(link: PhoneLink, program: str, result: ShellResult) -> None:
    """Raise what the shell's exit code says of a program that could not be started or was ended.

    126 and 127 are the shell's own (POSIX: found but not executable, not found).

    Raises:
        PhoneNoExecError: it may not run from there.
        PhoneStorageError, PhonePermissionError: what it said itself.
    """
    said = result.tail(2)
    if result.code in (126, 127):
        raise no_exec(program, link.serial, said)
    if "No space left" in result.stdout + result.stderr:
        raise storage_full("write results", link.serial, said)


def _short(command: str) -> str:
    first = " ".join(command.split())
    return first if len(first) < 70 else f"{first[:67]}..."
