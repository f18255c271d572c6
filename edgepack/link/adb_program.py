"""The adb program: found, its server checked, run with a time-out; and the phones that it lists."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgepack import runner
from edgepack.errors import EdgepackError
from edgepack.link.adb_errors import (
    ADB_INSTALL,
    AdbMissingError,
    AdbServerError,
    NoPhoneError,
    SeveralPhonesError,
    classify,
    offline,
    silent,
    unauthorized,
)

AUTO = "auto"
_SERVER_PORT = 5037
_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):\d{1,5}$")
_LISTED = re.compile(
    r"^(\S+)\s+(device|offline|unauthorized|authorizing|connecting|no permissions|"
    r"recovery|sideload|bootloader|host)\b(.*)$"
)
_VERSION = re.compile(r"version 1\.0\.(\d+)")
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class AdbTiming:
    """Seconds that each step may take.

    quick: a question to the adb server or a short command on the phone. connect: a phone to show
    up. transfer: a file, plus one second per `transfer_rate` bytes.
    """

    quick: float = 15.0
    connect: float = 10.0
    transfer: float = 30.0
    transfer_rate: float = 500_000.0


@dataclass(frozen=True)
class Listed:
    """A line of `adb devices`: serial, state, and what else it says."""

    serial: str
    state: str
    words: str = ""


@dataclass(frozen=True)
class Adb:
    """One adb program and its server.

    env: added to its environment, such as ANDROID_ADB_SERVER_PORT.
    """

    program: str
    env: Mapping[str, str] = field(default_factory=dict)
    timing: AdbTiming = AdbTiming()

    def run(
        self, arguments: Sequence[str], *, timeout: float, what: str, serial: str = "?"
    ) -> runner.Result:
        """Run it to its end; its exit code says little, so the caller judges what it printed.

        Raises:
            PhoneSilentError: time is up.
        """
        argv = (self.program, *arguments)
        try:
            return runner.run(argv, timeout=timeout, env=self.env, check=False, what=what)
        except runner.CommandError as error:
            raise silent(what, serial, timeout) from error

    def check_server(self) -> None:
        """Refuse a server of another version before adb ends it, and with it others' connections.

        Raises:
            AdbServerError: it speaks another version, or is no adb server.
        """
        own = _VERSION.search(
            self.run(["version"], timeout=self.timing.quick, what="adb version").stdout
        )
        served = self._server_version()
        if own is None or served is None or int(own[1]) == served:
            return
        raise AdbServerError(
            f"the running adb server is of version 1.0.{served}, {self.program} is 1.0.{own[1]}: "
            "it would end that server and everybody's connections",
            allowed="one adb for all programs",
            next_step="adb kill-server, then the same command; or put the other adb first on PATH",
        )

    def _server_version(self) -> int | None:
        """What the server says to `host:version`; None when there is none yet."""
        merged = {**os.environ, **self.env}
        if "ADB_SERVER_SOCKET" in merged:
            return None  # elsewhere: adb itself will say
        port = int(merged.get("ANDROID_ADB_SERVER_PORT", _SERVER_PORT))
        try:
            with socket.create_connection(("127.0.0.1", port), self.timing.quick) as server:
                server.settimeout(self.timing.quick)
                server.sendall(b"000chost:version")
                answer = b""
                while len(answer) < 12 and (piece := server.recv(64)):
                    answer += piece
        except ConnectionRefusedError:
            return None
        except OSError as error:
            raise AdbServerError(
                f"whatever listens on port {port} of this computer does not answer like an adb "
                f"server ({error})",
                next_step="adb kill-server",
            ) from error
        if answer[:4] != b"OKAY" or len(answer) < 12:
            raise AdbServerError(
                f"what listens on port {port} of this computer is no adb server",
                next_step="set ANDROID_ADB_SERVER_PORT to another port",
            )
        return int(answer[8:12], 16)

    def devices(self) -> tuple[Listed, ...]:
        """The phones that adb lists, whatever their state.

        Raises:
            AdbServerError: there is no server, and none can be started.
        """
        result = self.run(["devices", "-l"], timeout=self.timing.quick, what="list the phones")
        if result.returncode != 0 or "List of devices" not in result.stdout:
            text = result.stderr + result.stdout
            raise classify(text, "list the phones", "?") or AdbServerError(
                f"adb devices failed: {result.tail(3)}", next_step="adb kill-server"
            )
        found = (_LISTED.match(line) for line in result.stdout.splitlines()[1:])
        return tuple(Listed(m[1], m[2], m[3].strip()) for m in found if m is not None)

    def state(self, serial: str) -> str | None:
        """The state of one phone, None when it is not listed."""
        return next((d.state for d in self.devices() if d.serial == serial), None)

    def wait(self, serial: str, seconds: float) -> None:
        """Until a phone can be used.

        Raises:
            PhoneUnauthorizedError, PhoneOfflineError, NoPhoneError: what it still is when time is
                up.
        """
        deadline = time.monotonic() + seconds
        while True:
            state = self.state(serial)
            if state == "device":
                return
            if time.monotonic() >= deadline:
                raise _unusable(serial, state)
            time.sleep(_POLL_SECONDS)

    def connect(self, address: str, seconds: float) -> None:
        """Connect to a phone over TCP. adb's own exit code is 0 even when it is refused.

        Raises:
            NoPhoneError, PhoneUnauthorizedError, PhoneOfflineError: it could not be used within
                `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            result = self.run(
                ["connect", address],
                timeout=max(seconds, self.timing.quick),
                what=f"connect to {address}",
                serial=address,
            )
            said = (result.stdout + result.stderr).strip()
            if "connected to" in said or "failed to authenticate" in said:
                self.wait(address, max(deadline - time.monotonic(), 1.0))
                return
            if time.monotonic() >= deadline:
                raise NoPhoneError(
                    f"adb cannot reach {address}: {said}",
                    next_step="adb tcpip 5555 with the phone on USB, or 'Wireless debugging' in "
                    "its developer options",
                )
            time.sleep(_POLL_SECONDS)


def adb_path() -> str | None:
    """The adb program: on PATH, in the Android SDK that ANDROID_HOME names, or in the Python
    package adbutils, which carries Google's own and needs no root rights to install.
    """
    program = runner.which("adb")
    for variable in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        folder = os.environ.get(variable)
        if program is None and folder:
            program = runner.which(str(Path(folder) / "platform-tools" / "adb"))
    if program is not None:
        return program
    package = importlib.util.find_spec("adbutils")  # which is not imported: that takes a second
    if package is None or package.origin is None:
        return None
    return runner.which(str(Path(package.origin).parent / "binaries" / "adb"))


def find_adb(
    env: Mapping[str, str] | None = None,
    timing: AdbTiming | None = None,
    program: str | None = None,
) -> Adb:
    """The adb program with a server that it may use.

    Args:
        env: added to its environment.
        program: which adb; None for that of `adb_path`.

    Raises:
        AdbMissingError: it is nowhere.
        AdbServerError: its server is of another version.
    """
    found = program or adb_path()
    if found is None:
        raise AdbMissingError(
            "adb is not installed (not on PATH, not in ANDROID_HOME, and no package adbutils)",
            allowed=f"one of them:\n  {ADB_INSTALL}\n  pip install adbutils",
            next_step=ADB_INSTALL,
        )
    adb = Adb(found, dict(env or {}), timing or AdbTiming())
    adb.check_server()
    return adb


def choose_phone(adb: Adb, wanted: str) -> str:
    """The serial of a phone that can be used: the one named, or the only one for `auto`.

    Args:
        wanted: a serial, `auto`, or an address `host:port` that adb connects to.

    Raises:
        NoPhoneError, SeveralPhonesError, PhoneUnauthorizedError, PhoneOfflineError: which.
    """
    listed = adb.devices()
    if wanted == AUTO:
        return _only(listed)
    state = next((d.state for d in listed if d.serial == wanted), None)
    if state == "device":
        return wanted
    if _ADDRESS.match(wanted):
        adb.connect(wanted, adb.timing.connect)
    elif state is None:
        known = ", ".join(d.serial for d in listed) or "no phone"
        raise NoPhoneError(
            f"adb lists no phone {wanted}",
            allowed=f"{known}, or host:port",
            next_step="adb devices",
        )
    else:
        adb.wait(wanted, adb.timing.connect)
    return wanted


def usable_phones(adb: Adb) -> tuple[str, ...]:
    """The serials of all phones that can be used."""
    return tuple(d.serial for d in adb.devices() if d.state == "device")


def _only(listed: Sequence[Listed]) -> str:
    usable = [d.serial for d in listed if d.state == "device"]
    if len(usable) == 1:
        return usable[0]
    if len(usable) > 1:
        raise SeveralPhonesError(
            f"{len(usable)} phones are connected: {', '.join(usable)}",
            allowed="one of them, or --phone several times",
            next_step=f"--phone {usable[0]}",
        )
    if listed:
        raise _unusable(listed[0].serial, listed[0].state)
    raise _unusable(AUTO, None)


def _unusable(serial: str, state: str | None) -> EdgepackError:
    if state in ("unauthorized", "authorizing"):
        return unauthorized(serial)
    if state in ("offline", "connecting"):
        return offline(serial)
    if state == "no permissions":
        return NoPhoneError(
            f"this user may not open phone {serial}",
            next_step="sudo apt-get install android-sdk-platform-tools-common, then replug it",
        )
    if state is not None:
        return NoPhoneError(f"phone {serial} is in state {state}, not in Android")
    what = "no phone is connected" if serial == AUTO else f"adb lists no phone {serial}"
    return NoPhoneError(
        what,
        allowed="a phone with 'USB debugging' on (Settings, Developer options), or host:port",
        next_step="adb devices -l",
    )
