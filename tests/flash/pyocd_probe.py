"""A debug probe for pyOCD's `remote` protocol whose chip is a QEMU board.

pyOCD sees a Cortex-M0 behind an SW-DP and an AHB-AP. Memory and peripherals, the flash controller
among them, are QEMU's; the core's debug registers are played here on top of QEMU's gdbserver.

Protocol: pyOCD, pyocd/probe/tcp_client_probe.py (one JSON object a line). Debug registers: ARMv6-M
Architecture Reference Manual, C1.6. Components: ARM Debug Interface v5, chapters 8 and 14.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from tests.flash.gdb_remote import GdbRemote

_DHCSR, _DCRSR, _DCRDR, _DEMCR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC
_AIRCR, _DFSR, _CPUID = 0xE000ED0C, 0xE000ED30, 0xE000ED00
_DEBUG_KEY, _RESET_KEY = 0xA05F, 0x05FA
_C_DEBUGEN, _C_HALT, _C_STEP = 1, 2, 4
_S_REGRDY, _S_HALT, _S_RESET = 1 << 16, 1 << 17, 1 << 25
_VC_CORERESET, _SYSRESETREQ = 1, 1 << 2
_ROM, _SCS, _DWT, _BPU = 0xE00FF000, 0xE000E000, 0xE0001000, 0xE0002000
_CORTEX_M0 = 0x410CC200
_XPSR_IN_GDB = 25
_BKPT = 0xBE
# Where a blank chip starts; the flash of QEMU comes up with zeros, a real one with ones.
_NO_PROGRAM = (0, 0xFFFFFFFE)
_AP_CSW, _AP_TAR, _AP_DRW, _AP_CFG, _AP_BASE, _AP_IDR = 0x00, 0x04, 0x0C, 0xF4, 0xF8, 0xFC


def _identity(part: int, kind: int) -> dict[int, int]:
    """PIDR4 and PIDR0 to 3 of an Arm component, and CIDR0 to 3 of its class."""
    pidr = (part & 0xFF, 0xB0 | part >> 8, 0x0B, 0x00)
    cidr = (0x0D, kind << 4, 0x05, 0xB1)
    return {
        0xFD0: 0x04,
        **{0xFE0 + 4 * i: value for i, value in enumerate(pidr)},
        **{0xFF0 + 4 * i: value for i, value in enumerate(cidr)},
    }


_COMPONENTS = {
    _ROM: {
        **{4 * i: (base - _ROM & 0xFFFFFFFF) | 3 for i, base in enumerate((_SCS, _DWT, _BPU))},
        0x00C: 0,
        0xFCC: 1,
        **_identity(0x471, 1),
    },
    _SCS: _identity(0x008, 0xE),
    _DWT: {0x000: 0, **_identity(0x00A, 0xE)},
    _BPU: {0x000: 0, **_identity(0x00B, 0xE)},
}


class VirtualChip:
    """What the AHB-AP reaches: QEMU's memory, with the debug registers in front of it."""

    def __init__(self, gdb: GdbRemote) -> None:
        self._gdb = gdb
        self._control = 0
        self._catch = 0
        self._transfer = 0
        self._was_reset = True
        self._locked_up = False
        self._held = False
        self._breakpoint: int | None = None
        self.resets = 0

    @property
    def is_held(self) -> bool:
        """Whether the reset pin is asserted."""
        return self._held

    # -- running and halting

    def _run(self) -> None:
        """A core without a program locks up, which a debugger may end; QEMU would abort.

        Flash algorithms return to a BKPT instruction, which QEMU would not stop at by itself."""
        if self._gdb.read_register(15) in _NO_PROGRAM:
            self._locked_up = True
            return
        back = self._gdb.read_register(14) & ~1
        if 0x20000000 <= back < 0x20004000 and self._gdb.read(back, 2)[1] == _BKPT:
            self._breakpoint = back
            self._gdb.breakpoint(back, on=True)
        self._gdb.resume()

    def _halt(self) -> None:
        self._locked_up = False
        if self._gdb.running:
            self._gdb.halt()
        self._drop_breakpoint()

    def _drop_breakpoint(self) -> None:
        if self._breakpoint is not None:
            self._gdb.breakpoint(self._breakpoint, on=False)
            self._breakpoint = None

    def _is_halted(self) -> bool:
        if self._locked_up:
            return False
        if self._gdb.has_stopped():
            self._drop_breakpoint()
            return True
        return False

    def hold_reset(self, asserted: bool) -> None:
        """The reset pin: the core stands still while it is asserted, and starts over afterwards."""
        self._held = asserted
        if asserted:
            self._halt()
        else:
            self._reset()

    def _reset(self) -> None:
        self._halt()
        self._gdb.monitor("system_reset")
        self.resets += 1
        self._was_reset = True
        if not (self._catch & _VC_CORERESET and self._control & _C_DEBUGEN):
            self._run()

    # -- memory

    def read(self, address: int, count: int) -> bytes:
        if address >> 28 == 0xE:
            words = b"".join(
                self._read_word(at).to_bytes(4, "little")
                for at in range(address & ~3, address + count, 4)
            )
            return words[address & 3 :][:count]
        data: bytes = self._in_between(lambda: self._gdb.read(address, count))
        return data

    def write(self, address: int, data: bytes) -> None:
        if address >> 28 == 0xE:
            for offset in range(0, len(data), 4):
                word = int.from_bytes(data[offset : offset + 4], "little")
                self._write_word(address + offset, word)
        else:
            self._in_between(lambda: self._gdb.write(address, data))

    def _in_between(self, access: Callable[[], Any]) -> Any:
        """A debugger reaches memory while the core runs; here the core is held for a moment."""
        interrupted = self._gdb.running and self._gdb.halt()
        try:
            return access()
        finally:
            if interrupted:
                self._gdb.resume()

    def _read_word(self, address: int) -> int:
        if address == _DHCSR:
            status = _S_REGRDY | (_S_HALT if self._is_halted() else 0)
            status |= _S_RESET if self._was_reset else 0
            self._was_reset = False
            return status | self._control
        known = {_DCRDR: self._transfer, _DEMCR: self._catch, _CPUID: _CORTEX_M0, _DFSR: 0}
        if address in known:
            return known[address]
        component = _COMPONENTS.get(address & ~0xFFF)
        if component is not None and (address & ~0xFFF != _SCS or address & 0xFFF >= 0xFD0):
            return component.get(address & 0xFFF, 0)
        data: bytes = self._in_between(lambda: self._gdb.read(address, 4))
        return int.from_bytes(data, "little")

    def _write_word(self, address: int, value: int) -> None:
        if address == _DHCSR:
            if value >> 16 == _DEBUG_KEY:
                self._set_control(value & 0xFFFF)
        elif address == _DCRSR:
            self._move_register(value & 0x1F, write=bool(value & 1 << 16))
        elif address == _DCRDR:
            self._transfer = value
        elif address == _DEMCR:
            self._catch = value
        elif address == _AIRCR and value >> 16 == _RESET_KEY and value & _SYSRESETREQ:
            self._reset()
        elif _COMPONENTS.get(address & ~0xFFF) is None or address & ~0xFFF == _SCS:
            self._in_between(lambda: self._gdb.write(address, value.to_bytes(4, "little")))

    def _set_control(self, control: int) -> None:
        self._control = control
        wanted = bool(control & _C_HALT and control & _C_DEBUGEN)
        if wanted or self._held:
            self._halt()
        elif control & _C_STEP and control & _C_DEBUGEN:
            self._halt()
            self._gdb.step()
        elif not self._gdb.running and not self._locked_up:
            self._run()

    def _move_register(self, number: int, *, write: bool) -> None:
        # MSP is sp as long as the process stack is not in use, which no flash algorithm does
        in_gdb = {16: _XPSR_IN_GDB, 17: 13}.get(number, number if number < 16 else None)
        if in_gdb is None:
            self._transfer = 0
        elif write:
            self._gdb.write_register(in_gdb, self._transfer)
        else:
            self._transfer = self._gdb.read_register(in_gdb)


class _Port:
    """The SW-DP and its one AHB-AP."""

    def __init__(self, chip: VirtualChip) -> None:
        self._chip = chip
        self._power = 0
        self._csw, self._tar = 0x03000042, 0

    def read_dp(self, address: int) -> int:
        return {0x0: 0x0BB11477, 0x4: self._power}.get(address & 0xF, 0)

    def write_dp(self, address: int, value: int) -> None:
        if address & 0xF == 0x4:
            # each power-up request is granted in the bit above it
            self._power = value | (value & 0x54000000) << 1

    def read_ap(self, address: int) -> int:
        if address >> 24:
            return 0  # no second access port
        register = address & 0xFC
        if register == _AP_DRW:
            word = int.from_bytes(self._chip.read(self._tar, 4), "little")
            self._tar += 4
            return word
        return {
            _AP_CSW: self._csw,
            _AP_TAR: self._tar,
            _AP_CFG: 0,
            _AP_BASE: _ROM | 3,
            _AP_IDR: 0x04770021,
        }.get(register, 0)

    def write_ap(self, address: int, value: int) -> None:
        register = address & 0xFC
        if register == _AP_DRW:
            self._chip.write(self._tar, value.to_bytes(4, "little"))
            self._tar += 4
        elif register == _AP_TAR:
            self._tar = value
        elif register == _AP_CSW:
            self._csw = value | 0x40


class _Client(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, VirtualProbe)
        for line in self.rfile:
            request = json.loads(line)
            reply: dict[str, Any] = {"id": request["id"], "status": 0}
            try:
                result = server.answer(request["request"], request.get("arguments", []))
                if result is not None:
                    reply["result"] = result
            except (ValueError, KeyError) as error:
                reply.update(status=12, error=repr(error))  # a transfer fault
                server.faults.append(f"{line!r}: {error!r}")
            self.wfile.write(json.dumps(reply).encode() + b"\n")


class VirtualProbe(socketserver.ThreadingTCPServer):
    """Serves one chip on a free port; use as a context manager."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, gdb_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self._gdb = gdb = GdbRemote(gdb_port)
        self.chip = VirtualChip(gdb)
        self._port = _Port(self.chip)
        self._lock = threading.Lock()
        self.requests: list[str] = []
        self.faults: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *details: object) -> None:
        self.shutdown()
        self.server_close()
        self._gdb.close()

    @property
    def address(self) -> str:
        """What `pyocd --probe` takes."""
        return f"remote:127.0.0.1:{self.server_address[1]}"

    def answer(self, request: str, arguments: list[Any]) -> Any:
        """The result of one request."""
        with self._lock:
            self.requests.append(request)
            return self._handlers()[request](*arguments)

    def _handlers(self) -> dict[str, Callable[..., Any]]:
        chip, port = self.chip, self._port

        def nothing(*arguments: Any) -> None:
            return None

        def words(handle: int, address: int, count: int) -> list[int]:
            raw = chip.read(address, 4 * count)
            return [int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4)]

        def put_words(handle: int, address: int, data: list[int]) -> None:
            chip.write(address, b"".join(word.to_bytes(4, "little") for word in data))

        def pulse() -> None:
            chip.hold_reset(True)
            chip.hold_reset(False)

        def write_ap_multiple(address: int, values: list[int]) -> None:
            for value in values:
                port.write_ap(address, value)

        quiet = "hello open close lock unlock connect disconnect swj_sequence set_clock flush"
        return {
            **dict.fromkeys(quiet.split(), nothing),
            "readprop": lambda name: _PROPERTIES[name],
            "reset": pulse,
            "assert_reset": chip.hold_reset,
            "is_reset_asserted": lambda: chip.is_held,
            "has_swo": lambda: False,
            "read_dp": port.read_dp,
            "write_dp": port.write_dp,
            "read_ap": port.read_ap,
            "write_ap": port.write_ap,
            "read_ap_multiple": lambda at, count: [port.read_ap(at) for _ in range(count)],
            "write_ap_multiple": write_ap_multiple,
            "get_memory_interface_for_ap": lambda version, address: 0,
            "read_mem": lambda h, at, bits: int.from_bytes(chip.read(at, bits // 8), "little"),
            "write_mem": lambda h, at, v, bits: chip.write(at, v.to_bytes(bits // 8, "little")),
            "read_block32": words,
            "write_block32": put_words,
            "read_block8": lambda h, at, count: list(chip.read(at, count)),
            "write_block8": lambda h, at, data: chip.write(at, bytes(data)),
        }


_PROPERTIES: dict[str, Any] = {
    "vendor_name": "edgepack tests",
    "product_name": "virtual probe",
    "supported_wire_protocols": ["DEFAULT", "SWD"],
    "wire_protocol": "SWD",
    "capabilities": ["BANKED_DP_REGISTERS", "MANAGED_AP_SELECTION", "MANAGED_DPBANKSEL"],
}
