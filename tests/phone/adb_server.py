"""The real adb's server, apart from any that the user runs."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from edgepack.link.adb_program import adb_path


class AdbServer:
    """An adb server on a port of its own, with a home of its own for its keys.

    program: which adb; None for the one that edgepack finds.
    """

    def __init__(self, folder: Path, program: str | None = None) -> None:
        self.program = program or adb_path() or "adb"
        home = folder / "home"
        home.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.env = {
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "HOME": str(home),
            "ANDROID_USER_HOME": str(home / ".android"),
            "ADB_MDNS": "0",
            "ADB_USB": "0",  # a phone that is plugged into this computer is none of ours
            "ADB_TRACE": "",
        }
        (home / ".android").mkdir()
        with (folder / "server.log").open("wb") as log:
            self._child = subprocess.Popen(
                [self.program, "-P", str(self.port), "nodaemon", "server"],
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, 15)
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, 9)
            self._child.wait(5)
