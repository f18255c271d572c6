"""A line that is broken in a reproducible way: for tests, campaigns, and to try a runner out.

`LineFaults` spoils the bytes of one direction, `FaultyLink` wraps another link with two of them,
and `proxy.FaultProxy` puts them between two sockets.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from edgepack.link.base import ByteLink

_SPLIT_SECONDS = 0.002  # long enough for the first half to be read alone


@dataclass(frozen=True)
class FaultRates:
    """Probabilities per byte, and the pause that a delay makes.

    Attributes:
        drop: the byte vanishes.
        double: it comes twice.
        flip: one of its bits is inverted.
        garbage: a random byte comes before it.
        pause: the line stops for `pause_seconds` before it.
        split: what comes before it is delivered on its own.
    """

    drop: float = 0.0
    double: float = 0.0
    flip: float = 0.0
    garbage: float = 0.0
    pause: float = 0.0
    split: float = 0.0
    pause_seconds: float = 0.08


@dataclass(frozen=True)
class Piece:
    """Bytes that are delivered together, `pause` seconds after the piece before them."""

    pause: float
    data: bytes


class LineFaults:
    """The faults of one direction.

    What happens to the n-th byte depends on the rates, the seed and n alone, so that equal traffic
    meets equal faults however it is cut into pieces.
    """

    def __init__(self, rates: FaultRates, seed: int) -> None:
        self.rates = rates
        self.count = 0
        self._random = random.Random(seed)

    def spoil(self, data: bytes) -> list[Piece]:
        """The bytes as they arrive; the first piece may be empty."""
        rates = self.rates
        bounds: list[float] = []
        for rate in (
            rates.drop,
            rates.double,
            rates.flip,
            rates.garbage,
            rates.pause,
            rates.split,
        ):
            bounds.append(rate + (bounds[-1] if bounds else 0.0))
        pieces: list[Piece] = []
        piece, pause = bytearray(), 0.0
        for byte in data:
            draw = self._random.random()
            if draw >= bounds[-1]:
                piece.append(byte)
                continue
            self.count += 1
            if draw < bounds[0]:
                continue
            if draw < bounds[1]:
                piece += bytes([byte, byte])
            elif draw < bounds[2]:
                piece.append(byte ^ (1 << self._random.randrange(8)))
            elif draw < bounds[3]:
                piece += bytes([self._random.randrange(256), byte])
            else:
                pieces.append(Piece(pause, bytes(piece)))
                pause = rates.pause_seconds if draw < bounds[4] else _SPLIT_SECONDS
                piece = bytearray([byte])
        pieces.append(Piece(pause, bytes(piece)))
        return pieces


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
        self.to_device = LineFaults(to_device, 2 * seed)
        self.to_host = LineFaults(to_host, 2 * seed + 1)

    @property
    def faults(self) -> int:
        """How many there were in both directions."""
        return self.to_device.count + self.to_host.count

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def baud(self) -> int:
        return self._inner.baud

    def read(self, timeout: float) -> bytes:
        """What arrived, spoilt; may be empty although bytes came."""
        data = bytearray()
        for piece in self.to_host.spoil(self._inner.read(timeout)):
            time.sleep(piece.pause)
            data += piece.data
        return bytes(data)

    def write(self, data: bytes, timeout: float) -> None:
        """Send the bytes, spoilt, in pieces where the line pauses."""
        for piece in self.to_device.spoil(data):
            time.sleep(piece.pause)
            self._inner.write(piece.data, timeout)

    def set_baud(self, baud: int) -> None:
        self._inner.set_baud(baud)

    def close(self) -> None:
        self._inner.close()
