"""Damaged copies of a file: cut off, bits flipped, stretches overwritten, parts exchanged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def mutations(good: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` different damages of one file, the same ones for the same seed.

    Half of them touch the first 2 KB, where formats keep their structure.
    """
    generator = np.random.default_rng(seed)
    for number in range(count):
        data = bytearray(good)
        limit = len(good) if number % 2 else min(len(good), 2048)
        kind = number % 5
        if kind == 0:
            del data[int(generator.integers(0, limit)) :]
        elif kind == 1:
            for place in generator.integers(0, limit, int(generator.integers(1, 9))):
                data[int(place)] ^= 1 << int(generator.integers(0, 8))
        elif kind == 2:
            place = int(generator.integers(0, limit))
            size = int(generator.integers(1, 17))
            data[place : place + size] = bytes([int(generator.choice([0, 0x7F, 0xFF]))]) * size
        elif kind == 3:
            for place in generator.integers(0, limit, 4):
                data[int(place)] = int(generator.integers(0, 256))
        else:
            place, size = int(generator.integers(0, limit)), int(generator.integers(1, 65))
            other = int(generator.integers(0, len(good)))
            data[place : place + size] = good[other : other + size]
        yield bytes(data)
