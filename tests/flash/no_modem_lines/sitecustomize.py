"""Put on PYTHONPATH of a child: a pseudo-terminal has neither DTR and RTS nor parity, and minds."""

from __future__ import annotations

import contextlib
import termios
from typing import Any

from serial import serialposix


def _make_tolerant(name: str) -> None:
    update = getattr(serialposix.Serial, name)

    def tolerant(port: Any) -> None:
        with contextlib.suppress(OSError):
            update(port)

    setattr(serialposix.Serial, name, tolerant)


for _name in ("_update_dtr_state", "_update_rts_state"):
    _make_tolerant(_name)

_set = termios.tcsetattr


def _without_parity(descriptor: int, when: int, attributes: list[Any]) -> None:
    attributes[2] &= ~termios.PARENB
    _set(descriptor, when, attributes)


serialposix.termios.tcsetattr = _without_parity
