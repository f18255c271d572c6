"""Devices that a campaign may restart and hang: the shipped fake, the compiled C, and QEMU."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgepack.bench.data import Samples
from edgepack.flash import RunningBoard, launch
from edgepack.link.fake import FakeDevice, FakeModel
from edgepack.link.fake_server import FakeServer
from edgepack.link.proxy import Address
from edgepack.manifest import read_manifest
from edgepack.targets import load_target
from tests.host import stub


class Board(Protocol):
    """A device behind a TCP port."""

    # its process outlives a restart, and with it the host's connection
    keeps_connection: bool

    def address(self) -> Address: ...

    def restart(self) -> None: ...

    def hang(self) -> None: ...

    def ready(self) -> None:
        """Bring it back to life for the next run, whatever was done to it."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Subject:
    """What a campaign runs: a project, its samples, the right answers, and the device.

    exact: the device's figures are known: (ticks of an inference, of a layer, stack, arena).
    """

    name: str
    project: Path
    samples: Samples
    expected: tuple[bytes, ...]
    make_board: Callable[[], Board]
    stateful: bool = False
    exact: tuple[int, int, int, int] | None = None


class FakeBoard:
    """The shipped fake on a socket. With `stateful`, an output depends on all inputs so far."""

    keeps_connection = True

    def __init__(self, *, stateful: bool = False) -> None:
        self._total = 0

        def compute(data: bytes) -> list[list[bytes]]:
            layers = stub.compute(data)
            if not stateful:
                return layers
            self._total += sum(data)
            return stateful_layers(layers, self._total)

        def reset() -> None:
            self._total = 0

        model = FakeModel(
            stub.INPUTS, stub.OUTPUTS, compute, "stub", stub.BUILD_ID, layers=2, reset=reset
        )
        self.device = FakeDevice(model)
        self._server = FakeServer(self.device)
        self._server.__enter__()

    def address(self) -> Address:
        return self._server.address

    def restart(self) -> None:
        self._server.restart()

    def hang(self) -> None:
        self.device.hung = True

    def ready(self) -> None:
        self._server.restart()

    def close(self) -> None:
        self._server.__exit__(None, None, None)


def stateful_layers(layers: list[list[bytes]], total: int) -> list[list[bytes]]:
    """The stub's layers with the sum of all input bytes so far mixed into the outputs."""
    key = total.to_bytes(8, "little")
    last = [bytes(b ^ key[i % 8] for i, b in enumerate(out)) for out in layers[-1]]
    return [*layers[:-1], last]


class StubBoard:
    """The real bench firmware as a process; a restart is another process at another address."""

    keeps_connection = False

    def __init__(self, program: Path) -> None:
        self._program = program
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        url, self._child = self._stack.enter_context(stub.running(self._program))
        self._address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))

    def address(self) -> Address:
        return self._address

    def restart(self) -> None:
        with self._lock:
            self._child.kill()
            self._stack.close()
            self._start()

    def hang(self) -> None:
        os.kill(self._child.pid, signal.SIGSTOP)

    def ready(self) -> None:
        if _state(self._child) != "running":
            self.restart()

    def close(self) -> None:
        self._child.kill()
        self._stack.close()


class QemuBoard:
    """A project's image in its emulator."""

    keeps_connection = False

    def __init__(self, project: Path) -> None:
        self._project = project
        self._manifest = read_manifest(project)
        self._target = load_target(self._manifest.target)
        self._stack = contextlib.ExitStack()
        self._start()

    def _start(self) -> None:
        self._board: RunningBoard = self._stack.enter_context(
            launch(self._project, self._manifest, self._target)
        )

    def address(self) -> Address:
        return ("127.0.0.1", int(self._board.url.rsplit(":", 1)[1]))

    def restart(self) -> None:
        self._board.child.kill()
        self._stack.close()
        self._start()

    def hang(self) -> None:
        os.kill(self._board.pid, signal.SIGSTOP)

    def ready(self) -> None:
        if _state(self._board.child) != "running":
            self.restart()

    def close(self) -> None:
        self._board.child.kill()
        self._stack.close()


def _state(child: subprocess.Popen[bytes]) -> str:
    if child.poll() is not None:
        return "ended"
    status = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii")
    return "stopped" if status.rpartition(")")[2].split()[0] in "Tt" else "running"
