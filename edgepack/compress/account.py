"""Bytes of a network as Deep Compression counts them, from streams that are really encoded.

Of every layer the weights that are not zero are listed: how many zeros lie before each (in a fixed
number of bits; a gap that is too long is broken by a zero that is listed), and which of the layer's
values it has. Both lists are Huffman-coded (Han et al. 2016, arXiv:1510.00149). Codes are of at
most 12 bits, as edgepack's device code has them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgepack.ops.shared.coded_huffman import encode_huffman
from edgepack.types import Array

_READ_AHEAD = 3  # bytes that the device's reader wants behind a stream, not part of this format
_MAX_VALUES = 256
_INDEX_BITS = range(2, 9)


@dataclass(frozen=True)
class LayerBytes:
    """One weight array: bytes of each stream, of the tables, and of its float32 original.

    `index_bits` are those of a gap before coding: the number with which all is smallest.
    """

    name: str
    original: int
    values: int
    gaps: int
    tables: int
    codebook: int
    nonzero: int
    index_bits: int

    @property
    def total(self) -> int:
        """All that it takes to get the array back."""
        return self.values + self.gaps + self.tables + self.codebook


def relative(flat: Array, bits: int) -> tuple[Array, Array]:
    """Gaps and positions of the entries of an array in relative-index form.

    Args:
        flat: numbers, most of them zero.
        bits: of a gap, which is at most 2**bits - 1 zeros.

    Returns:
        For every entry the zeros before it, and its position in `flat`; the array's last entries
        may be zeros that are not listed.
    """
    longest = (1 << bits) - 1
    gaps, positions, before = [], [], -1
    for position in np.flatnonzero(flat).tolist():
        while position - before - 1 > longest:
            before += longest + 1
            gaps.append(longest)
            positions.append(before)
        gaps.append(position - before - 1)
        positions.append(position)
        before = position
    return np.array(gaps, np.uint8), np.array(positions, np.int64)


def layer_bytes(name: str, weights: Array) -> LayerBytes | None:
    """Count one weight array; None where it has more than 256 values.

    Args:
        name: for the report.
        weights: float32, of any shape.
    """
    flat = np.asarray(weights, np.float32).reshape(-1)
    book = np.unique(flat)
    if len(book) > _MAX_VALUES:
        return None
    best = None
    for bits in _INDEX_BITS:
        gaps, positions = relative(flat, bits)
        if not len(gaps):
            return LayerBytes(name, flat.nbytes, 0, 0, 0, 0, 0, bits)
        symbols = np.searchsorted(book, flat[positions]).astype(np.uint8)
        value_stream, gap_stream = encode_huffman(symbols), encode_huffman(gaps)
        if value_stream is None or gap_stream is None:
            continue
        streams = (len(value_stream[0]) - _READ_AHEAD, len(gap_stream[0]) - _READ_AHEAD)
        tables = len(value_stream[1]) + len(gap_stream[1])
        found = LayerBytes(
            name, flat.nbytes, *streams, tables, book.nbytes, int(np.count_nonzero(flat)), bits
        )
        if best is None or found.total < best.total:
            best = found
    return best


def account(arrays: dict[str, Array]) -> dict[str, Any]:
    """The whole network: clustered arrays coded, all else (biases) as float32.

    Args:
        arrays: every weight by name.

    Returns:
        `original` and `compressed` in bytes, their `ratio`, and the `layers` that are coded.
    """
    layers, plain, original = [], 0, 0
    for name, array in arrays.items():
        original += 4 * array.size
        counted = layer_bytes(name, array) if array.ndim >= 2 else None
        if counted is None:
            plain += 4 * array.size
        else:
            layers.append(counted)
    compressed = plain + sum(layer.total for layer in layers)
    return {
        "original": original,
        "compressed": compressed,
        "ratio": original / compressed,
        "uncoded": plain,
        "layers": [{**asdict(layer), "total": layer.total} for layer in layers],
    }
