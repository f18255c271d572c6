"""Coded weights: code lengths, and bytes that come back from a decoder that follows ep_coded.h."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.ops.shared.coded import raw_bytes
from edgepack.ops.shared.coded_huffman import MAX_LENGTH, code_lengths, encode_huffman
from edgepack.ops.shared.coded_sparse import encode_sparse
from edgepack.ops.shared.coded_table import encode_table
from edgepack.ops.shared.filters import pack_filter_pairs
from edgepack.ops.shared.kernel import Units

Bytes = npt.NDArray[np.uint8]


def unhuffman(code: Bytes, book: Bytes, fields: dict[str, int], count: int) -> list[int]:
    """Canonical codes, read bit by bit."""
    counts, symbols = book[:MAX_LENGTH], book[MAX_LENGTH:]
    bits = iter(np.unpackbits(code).tolist())
    out = []
    for _ in range(count):
        value = first = at = 0
        for length in range(MAX_LENGTH):
            value = value << 1 | next(bits)
            first <<= 1
            if value - first < counts[length]:
                out.append(int(symbols[at + value - first]))
                break
            at += int(counts[length])
            first += int(counts[length])
        else:
            raise AssertionError("no such code")
    return out


def untable(code: Bytes, book: Bytes, fields: dict[str, int], count: int) -> list[int]:
    bits = np.unpackbits(code, bitorder="little").reshape(-1, fields["bits"])
    return [int(book[i]) for i in (bits << np.arange(fields["bits"])).sum(axis=1)[:count]]


def unsparse(code: Bytes, book: Bytes, fields: dict[str, int], count: int) -> list[int]:
    values = iter(code.tolist())
    kept = np.unpackbits(book, bitorder="little")[:count]
    return [next(values) if k else fields["fill"] for k in kept]


CODINGS: dict[str, tuple[Callable[..., Any], Callable[..., list[int]]]] = {
    "huffman": (encode_huffman, unhuffman),
    "table": (encode_table, untable),
    "sparse": (encode_sparse, unsparse),
}


@pytest.mark.parametrize("name", CODINGS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_come_back(name: str, data: st.DataObject) -> None:
    symbols = data.draw(st.lists(st.integers(0, 255), min_size=1, max_size=20, unique=True))
    values = np.array(
        data.draw(st.lists(st.sampled_from(symbols), min_size=1, max_size=300)), np.uint8
    )
    encode, decode = CODINGS[name]
    made = encode(values)
    if made is None:
        assert name == "table" and len(np.unique(values)) > 16
        return
    assert decode(*made, len(values)) == values.tolist()


def hostile(name: str) -> Bytes:
    rng = np.random.default_rng(5)
    return {
        "one symbol": np.full(100, 7, np.uint8),
        "fibonacci": np.repeat(  # unlimited codes would be 20 bits long
            np.arange(20), [1, 1, *(round(1.618**i) for i in range(1, 19))]
        ).astype(np.uint8),
        "all bytes but one": rng.permutation(np.tile(np.arange(255, dtype=np.uint8), 3)),
        "normal": np.clip(rng.normal(0, 30, 5000), -127, 127).astype(np.int8).view(np.uint8),
    }[name]


@pytest.mark.parametrize("name", ["one symbol", "fibonacci", "all bytes but one", "normal"])
def test_hostile_distributions(name: str) -> None:
    values = hostile(name)
    made = encode_huffman(values)
    assert made is not None
    assert unhuffman(*made, len(values)) == values.tolist()


def test_a_length_with_too_many_codes_is_refused() -> None:
    assert encode_huffman(np.arange(256).astype(np.uint8)) is None


def unlimited(counts: list[int]) -> int:
    """Bits of a Huffman code without a limit."""
    heap, total = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=60))
def test_lengths_are_a_complete_and_optimal_code(counts: list[int]) -> None:
    lengths = code_lengths(counts)
    assert max(lengths) <= MAX_LENGTH
    assert sum(2.0**-length for length in lengths) == 1.0
    loose = code_lengths(counts, limit=60)
    assert sum(n * length for n, length in zip(counts, loose, strict=True)) == unlimited(counts)
    cost = sum(n * length for n, length in zip(counts, lengths, strict=True))
    assert cost >= unlimited(counts)
    if max(loose) <= MAX_LENGTH:
        assert cost == unlimited(counts)


def test_pairs_are_coded_as_the_weights_they_hold() -> None:
    filters = np.array([[-1, 2, -128, 4], [0, -6, 7, -127]], np.int8)
    stream = pack_filter_pairs(filters).reshape(-1)
    raw = raw_bytes(Units.of(stream, 0, 8, 0, channels=2, paired=True))
    order = [0, 2, 1, 3]
    assert raw.view(np.int8).reshape(-1, 2).T.tolist() == filters[:, order].tolist()
