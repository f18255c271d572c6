"""Huffman codes for the bytes of weights (EP_CODED_HUFFMAN of firmware/kernels/ep_coded.h)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgepack.types import Array

MAX_LENGTH = 12  # EP_CODE_LENGTHS
_LOOKUP_BITS = 8  # of the device's look-up table, 512 bytes of scratch memory


def code_lengths(counts: Sequence[int], limit: int = MAX_LENGTH) -> list[int]:
    """Optimal lengths of at most `limit` bits for symbols with these counts (all above 0).

    Larmore and Hirschberg's package-merge: of the 2n - 2 cheapest packages over `limit` rounds,
    each symbol is in as many as its code has bits.
    """
    if len(counts) == 1:
        return [1]
    if len(counts) > 1 << limit:
        raise ValueError(f"{len(counts)} symbols do not fit codes of {limit} bits")
    packages: list[tuple[int, tuple[int, ...]]] = []
    coins: list[tuple[int, tuple[int, ...]]] = [(n, (s,)) for s, n in enumerate(counts)]
    for _ in range(limit):
        merged = sorted(packages + coins)
        pairs = zip(merged[0::2], merged[1::2], strict=False)
        packages = [(a[0] + b[0], a[1] + b[1]) for a, b in pairs]
    lengths = [0] * len(counts)
    for _, members in packages[: len(counts) - 1]:
        for symbol in members:
            lengths[symbol] += 1
    return lengths


def encode_huffman(
    values: npt.NDArray[np.uint8],
) -> tuple[Array, Array, dict[str, int]] | None:
    """Codes, book and fields of ep_coded; None where a length has more codes than a byte counts."""
    symbols, counts = np.unique(values, return_counts=True)
    lengths = code_lengths(counts.tolist())
    order = sorted(range(len(symbols)), key=lambda i: (lengths[i], int(symbols[i])))
    per_length = np.bincount(lengths, minlength=MAX_LENGTH + 1)[1:]
    if per_length.max() > 255:
        return None
    codes = np.zeros(256, np.int64)
    widths = np.zeros(256, np.int64)
    code = previous = 0
    for i in order:
        code <<= lengths[i] - previous
        codes[symbols[i]], widths[symbols[i]] = code, lengths[i]
        previous, code = lengths[i], code + 1
    shifts = np.arange(MAX_LENGTH - 1, -1, -1)
    bits = (codes[values][:, None] >> shifts) & 1
    stream = np.packbits(bits[shifts < widths[values][:, None]].astype(np.uint8))
    book = np.concatenate([per_length.astype(np.uint8), symbols[order].astype(np.uint8)])
    beyond = np.zeros(3, np.uint8)  # the reader is up to three bytes ahead
    lookup = min(_LOOKUP_BITS, max(lengths))
    return np.concatenate([stream, beyond]), book, {"bits": lookup, "fill": 0}


def lookup_bytes(bits: int) -> int:
    """Scratch memory for the look-up table."""
    return 2 << bits
