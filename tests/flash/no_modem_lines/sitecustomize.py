"""Put on PYTHONPATH of a child: a pseudo-terminal has neither DTR and RTS nor parity, and minds."""

from __future__ import annotations

import contextlib
import termios
from typing import Any

from serial import serialposix

for _name in ("_update_dtr_state", "_update_rts_state"):

    def _tolerant(port: Any, _update: Any = getattr(serialposix.Serial, _name)) -> None:
        with contextlib.suppress(OSError):
            _update(port)

    setattr(serialposix.Serial, _name, _tolerant)

_set = termios.tcsetattr


def _without_parity(descriptor: int, when: int, attributes: list[Any]) -> None:
    attributes[2] &= ~termios.PARENB
    _set(descriptor, when, attributes)


serialposix.termios.tcsetattr = _without_parity
