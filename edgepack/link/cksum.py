"""The checksum of POSIX's `cksum`, which every phone's shell has."""

from __future__ import annotations

import zlib

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ALL_ONES = 0xFFFFFFFF


def cksum(data: bytes) -> int:
    """The CRC of `data` followed by its length, as IEEE Std 1003.1 defines `cksum`.

    It is zlib's CRC-32 with the bits of every byte and of the result reversed, and a start of 0.
    """
    length = len(data)
    tail = length.to_bytes((length.bit_length() + 7) // 8, "little")
    reflected = zlib.crc32((data + tail).translate(_REVERSED), _ALL_ONES)
    return int(f"{reflected:032b}"[::-1], 2)
