"""Another link with a broken line: seeded faults in both directions, for tests and campaigns."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from edgepack.link.base import ByteLink


@dataclass(frozen=True)
class FaultRates:
    """Probabilities per byte, and the pause that a delay makes.

    Attributes:
        drop: the byte vanishes.
        double: it comes twice.
        flip: one of its bits is inverted.
        garbage: a random byte comes before it.
        pause: the line stops for `pause_seconds` before it.
    """

    drop: float = 0.0
    double: float = 0.0
    flip: float = 0.0
    garbage: float = 0.0
    pause: float = 0.0
    pause_seconds: float = 0.08


class FaultyLink:
    """Wraps a link; the same seed and the same traffic give the same faults.

    Args:
        inner: the link that works.
        to_device, to_host: the rates of each direction.
        seed: of the random numbers.
    """

    def __init__(
        self, inner: ByteLink, to_device: FaultRates, to_host: FaultRates, seed: int
    ) -> None:
        self._inner = inner
        self._to_device = to_device
        self._to_host = to_host
        self._random = random.Random(seed)
        self.faults = 0

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def baud(self) -> int:
        return self._inner.baud

    def read(self, timeout: float) -> bytes:
        """What arrived, spoilt; may be empty although bytes came."""
        data = self._inner.read(timeout)
        return b"".join(self._spoil(data, self._to_host))

    def write(self, data: bytes, timeout: float) -> None:
        """Send the bytes, spoilt, in pieces where the line pauses."""
        for piece in self._spoil(data, self._to_device):
            self._inner.write(piece, timeout)

    def set_baud(self, baud: int) -> None:
        self._inner.set_baud(baud)

    def close(self) -> None:
        self._inner.close()

    def _spoil(self, data: bytes, rates: FaultRates) -> list[bytes]:
        pieces: list[bytes] = []
        piece = bytearray()
        bounds = (rates.drop, rates.double, rates.flip, rates.garbage, rates.pause)
        total = sum(bounds)
        for byte in data:
            draw = self._random.random()
            if draw >= total:
                piece.append(byte)
                continue
            self.faults += 1
            if draw < bounds[0]:
                continue
            if draw < sum(bounds[:2]):
                piece += bytes([byte, byte])
            elif draw < sum(bounds[:3]):
                piece.append(byte ^ (1 << self._random.randrange(8)))
            elif draw < sum(bounds[:4]):
                piece += bytes([self._random.randrange(256), byte])
            else:
                pieces.append(bytes(piece))
                piece.clear()
                time.sleep(rates.pause_seconds)
                piece.append(byte)
        pieces.append(bytes(piece))
        return pieces
