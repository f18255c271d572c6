"""A loopback phone: it speaks adb's transport protocol to the real `adb` program.

Files lie in a folder that plays the phone's file system; commands run in this computer's shell with
the phone's paths replaced by that folder's, and programs for ARM run in qemu-user. What it cannot
show: Android's own shell (this one is dash), SELinux, USB, and any time or temperature.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from tests.phone.sync import Sync
from tests.phone.wire import AUTH, CNXN, Gone, Stream, Streams, Wire

TMP = "/data/local/tmp"
_MAPPED = re.compile(r"(/data/local/tmp|/sys/(?:devices|class)|/proc/(?:cpuinfo|meminfo))\b")
_EMULATORS = {183: ("qemu-aarch64-static",), 40: ("qemu-arm-static",), 62: ()}  # ELF e_machine
_TOKEN, _SIGNATURE, _PUBLIC_KEY = 1, 2, 3
_STDOUT, _STDERR, _EXIT = 1, 2, 3
# What phones offer; newer ones offer more, and adb takes what both sides know.
OLDEST = "cmd"  # no shell protocol: refused
FILES_V1 = "cmd,shell_v2"
FILES_STAT2 = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"
FILES_V2 = f"{FILES_STAT2},apex,abb,abb_exec,sendrecv_v2,sendrecv_v2_dry_run_send,not_known_yet"
FILES_ZSTD = f"{FILES_V2},sendrecv_v2_zstd"
Act = Literal["disconnect", "vanish", "hang", "full", "denied", "garble", "drop"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once: at a service whose name or command holds `at`.

    after: bytes of the service's data, or 0 for its begin. Acts: `disconnect` closes the connection
    (the phone is back at once), `vanish` for good, `hang` never answers, `full` and `denied` are
    what a phone says of a file it cannot write, `garble` changes a byte, `drop` ends the service
    early as if all were well.
    """

    at: str
    act: Act
    after: int = 0


@dataclass
class Phone:
    """A loopback phone. It listens as soon as it is started.

    auth: `open` lets everybody in, `ask` demands a key and trusts it when it is shown, `refuse`
        never trusts one, `silent` never answers.
    features: what it offers. old_wire: the transport of before Android 9, with checksums and
        small packets.
    props: what getprop knows. cpu: qemu's -cpu, or None for its best.
    full_outputs: what programs write into out.bin finds no room. spoiled_outputs: it is changed
        once they have ended. slow_program: seconds that a program waits before it begins.
    """

    root: Path
    serial: str = "LOOPBACK1"
    auth: Literal["open", "ask", "refuse", "silent"] = "open"
    features: str = FILES_STAT2
    old_wire: bool = False
    noexec: bool = False
    full_outputs: bool = False
    spoiled_outputs: bool = False
    slow_program: int = 0
    cpu: str | None = None
    props: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keys: list[rsa.RSAPublicKey] = []
        self._wires: list[Wire] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self.gone = False
        self.fired: list[Fault] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._furnish()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def tmp(self) -> Path:
        """What the phone calls /data/local/tmp."""
        return self.root / "data/local/tmp"

    def left(self, patience: float = 3.0) -> list[str]:
        """What lies in /data/local/tmp, and which programs still run.

        patience: seconds that a program which was ended has to be gone.
        """
        deadline = time.monotonic() + patience
        with self._lock:
            children = list(self._children)
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        running = [f"process {c.args!r}" for c in children if c.poll() is None]
        return sorted(p.name for p in self.tmp.iterdir()) + running

    def stop(self) -> None:
        self._leave()
        with self._lock:
            children = list(self._children)
        for child in children:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, 9)
            child.wait(10)

    def _leave(self) -> None:
        """Answer nobody from now on; closing alone would not end an accept() that waits."""
        self.gone = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop()

    # what the phone is

    def _furnish(self) -> None:
        self.tmp.mkdir(parents=True)
        props = {
            "ro.product.model": "Loopback",
            "ro.product.manufacturer": "edgepack",
            "ro.product.cpu.abi": "arm64-v8a",
            "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
            "ro.build.version.release": "14",
            "ro.build.version.sdk": "34",
            "ro.soc.model": "LB1",
            "ro.serialno": self.serial,
            "ro.boot.qemu": "1",
            **self.props,
        }
        self.props = props
        cpus = self.root / "sys/devices/system/cpu"
        for cpu in range(8):
            folder = cpus / f"cpu{cpu}/cpufreq"
            folder.mkdir(parents=True)
            top = 2_800_000 if cpu >= 6 else 1_800_000
            for name, value in (
                ("cpuinfo_max_freq", top),
                ("scaling_max_freq", top),
                ("scaling_cur_freq", top),
                ("scaling_governor", "schedutil"),
            ):
                (folder / name).write_text(f"{value}\n")
        for name, value in (("online", "0-7"), ("possible", "0-7")):
            (cpus / name).write_text(f"{value}\n")
        zone = self.root / "sys/class/thermal/thermal_zone0"
        zone.mkdir(parents=True)
        (zone / "type").write_text("cpu-1-0\n")
        (zone / "temp").write_text("41000\n")
        (self.root / "proc").mkdir()
        (self.root / "proc/cpuinfo").write_text("Features\t: fp asimd asimddp\n")
        programs = self.root / "bin"
        programs.mkdir()
        self.say("thermalservice", "Thermal Status: 0\n")
        self.say("battery", "  level: 81\n  temperature: 284\n  USB powered: true\n  status: 2\n")
        (self.root / "props").write_text("".join(f"[{k}]: [{v}]\n" for k, v in props.items()))
        self._program("getprop", f'cat "{self.root}/props"')
        self._program("dumpsys", f'cat "{self.root}/dumpsys-$1"')
        self._program("settings", "echo 0")
        self._program("slow", f"exec sleep {self.slow_program}")
        # this computer has other cores than the phone pretends to have
        self._program("taskset", 'shift; exec "$@"')

    def say(self, service: str, text: str) -> None:
        """What `dumpsys SERVICE` prints."""
        (self.root / f"dumpsys-{service}").write_text(text)

    def _program(self, name: str, line: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    # connections

    def _listen(self) -> None:
        while not self.gone:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            wire = Wire(connection, old=self.old_wire)
            with self._lock:
                self._wires.append(wire)
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        streams = Streams(wire, self._service)
        trusted = self.auth == "open"
        token = os.urandom(20)
        try:
            while True:
                message = wire.receive()
                if self.auth == "silent":
                    continue
                if message.command == CNXN or message.command == AUTH:
                    trusted = trusted or self._is_trusted(message.arg0, message.data, token)
                    if trusted:
                        wire.send(CNXN, wire.version, wire.max_data, self._banner())
                    elif message.arg0 != _PUBLIC_KEY or message.command == CNXN:
                        wire.send(AUTH, _TOKEN, 0, token)
                elif trusted:
                    streams.take(message)
        except Gone:
            streams.end()
            wire.close()

    def _banner(self) -> bytes:
        words = "".join(f"ro.product.{k}=loopback;" for k in ("name", "model", "device"))
        return f"device::{words}features={self.features}".encode()

    def _is_trusted(self, kind: int, data: bytes, token: bytes) -> bool:
        if self.auth == "refuse":
            return False
        if kind == _PUBLIC_KEY:
            self._keys.append(_adb_key(data))  # the user has tapped "Allow"
            return True
        if kind != _SIGNATURE:
            return False
        for key in self._keys:
            with suppress(InvalidSignature):
                key.verify(data, token, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))
                return True
        return False

    def _drop(self) -> None:
        with self._lock:
            wires, self._wires = self._wires, []
        for wire in wires:
            wire.close()

    # faults

    def fault(self, what: str, passed: int) -> Fault | None:
        """The fault that is due, which then has happened; the connection is already cut."""
        with self._lock:
            due = next((f for f in self.faults if f.at in what and passed >= f.after), None)
            if due is None:
                return None
            self.faults.remove(due)
            self.fired.append(due)
        if due.act in ("disconnect", "vanish"):
            if due.act == "vanish":
                self._leave()
            self._drop()
            raise Gone
        if due.act == "hang":
            while not self.gone:
                time.sleep(0.05)
            raise Gone
        return due

    # services

    def _service(self, name: str, stream: Stream) -> None:
        self.commands.append(name)
        if name == "sync:":
            Sync(self, stream).serve()
        elif name.startswith("shell,v2"):
            self._shell(name.partition("raw:")[2], stream)

    def _shell(self, command: str, stream: Stream) -> None:
        if self.fault(command, 0) is not None:
            return  # "drop": ends without an exit packet
        if self.full_outputs:
            for folder in self.tmp.glob("edgepack-*"):
                if not (folder / "out.bin").is_symlink():
                    (folder / "out.bin").symlink_to("/dev/full")
        child = subprocess.Popen(
            ["/bin/sh", "-c", self.translate(command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin", "HOME": str(self.root)},
            cwd=self.tmp,
            start_new_session=True,
        )
        with self._lock:
            self._children.append(child)
        assert child.stdout is not None and child.stderr is not None
        errors: list[bytes] = []
        stderr = child.stderr
        reader = threading.Thread(target=lambda: errors.append(stderr.read()))
        reader.start()
        passed = 0
        try:
            while piece := os.read(child.stdout.fileno(), 4096):
                passed += len(piece)
                fault = self.fault(command, max(passed, 1)) if passed else None
                if fault is not None and fault.act == "drop":
                    return
                stream.write(_packet(_STDOUT, piece.replace(str(self.root).encode(), b"")))
            reader.join()
            if errors[0]:
                stream.write(_packet(_STDERR, errors[0]))
            if self.spoiled_outputs and "--out" in command:
                (path,) = self.tmp.glob("edgepack-*/out.bin")
                path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
            stream.write(_packet(_EXIT, bytes([child.wait() & 0xFF])))
        except Gone:
            # adbd hangs up on what it started; a program that ignores that lives on
            with suppress(ProcessLookupError):
                os.killpg(child.pid, 1)
            raise
        finally:
            reader.join()
            child.stdout.close()
            stderr.close()

    def path(self, name: str) -> Path:
        """Where a file of the phone lies."""
        return self.root / name.lstrip("/")

    def translate(self, command: str) -> str:
        """A command of the phone for this computer's shell."""
        mapped = _MAPPED.sub(lambda m: str(self.root) + m[1], command)
        program = re.compile(
            rf"(^|[;&({{]\s*|\bexec |\btaskset \w+ )({re.escape(str(self.root))}[^\s;'\"]+)"
        )
        return program.sub(lambda m: m[1] + self._runnable(Path(m[2])), mapped)

    def _runnable(self, path: Path) -> str:
        if not path.is_file() or not os.access(path, os.X_OK):
            return str(path)
        if self.noexec:
            return f'sh -c "echo {path}: Permission denied >&2; exit 126"'
        head = path.read_bytes()[:20]
        if head[:4] != b"\x7fELF":
            return str(path)
        if self.slow_program:
            return f"{self.root}/bin/slow"
        words = _EMULATORS[int.from_bytes(head[18:20], "little")]
        cpu = ("-cpu", self.cpu) if self.cpu and words else ()
        return " ".join((*words, *cpu, str(path)))


def _packet(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


def _adb_key(text: bytes) -> rsa.RSAPublicKey:
    """The key that adb shows: base64 of words, n0inv, the modulus (little-endian), rr, exponent."""
    import base64

    raw = base64.b64decode(text.split(b" ")[0].rstrip(b"\0"))
    words = int.from_bytes(raw[:4], "little")
    modulus = int.from_bytes(raw[8 : 8 + 4 * words], "little")
    exponent = int.from_bytes(raw[-4:], "little")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
