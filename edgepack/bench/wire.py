"""Framing between edgepack and its interpreter child: a JSON header followed by raw blobs.

    u32 length of the header | header (JSON, UTF-8) | blob 0 | blob 1 | ...

The header's `blobs` lists the byte length of every blob. No pickle: the bytes come from a process
that runs other people's native code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

Header = dict[str, Any]
Blob = bytes | memoryview
_LENGTH = struct.Struct("<I")


def encode(header: Header, blobs: Sequence[Blob] = ()) -> list[Blob]:
    """The pieces of one message, to be written in order (blobs are not copied)."""
    text = json.dumps({**header, "blobs": [len(b) for b in blobs]}).encode()
    return [_LENGTH.pack(len(text)) + text, *blobs]


def decode(read_exactly: Callable[[int], bytes]) -> tuple[Header, list[bytes]]:
    """Read one message with `read_exactly(count)`, which returns `count` bytes or raises."""
    (length,) = _LENGTH.unpack(read_exactly(_LENGTH.size))
    header = json.loads(read_exactly(length))
    return header, [read_exactly(count) for count in header["blobs"]]
