"""Weights in fewer bytes than kernels read: the variants of a call (firmware/kernels/ep_coded.h).

A lowering states the units of its stream; every coding of them makes another call, which decodes a
block of filters at a time into scratch memory. Which call is used is emit/coding.py's decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.coded_huffman import encode_huffman, lookup_bytes
from edgepack.ops.shared.coded_sparse import encode_sparse
from edgepack.ops.shared.coded_table import encode_table
from edgepack.ops.shared.kernel import Arg, Const, KernelCall, Output, Params, Scratch, Units
from edgepack.types import Array

_TILE_BYTES = 1024  # aimed at; at least one unit
_TILE_UNITS = 4  # at least: a convolution gathers its inputs anew for every tile
_ALIGN = 16


@dataclass(frozen=True)
class Coding:
    """One way to store bytes.

    Args:
        kind: its EP_CODED_ number.
        encode: bytes -> (code, book, further fields of ep_coded), or None where it cannot.
        instructions: to decode one weight, measured on Cortex-M4 at -O2 with the joining of pairs
            (Huffman: 17 where codes have 2 bits, 25 where they have 5).
        code_bytes: of its decoder.
        title: for `--explain`.
    """

    kind: int
    encode: Callable[[npt.NDArray[np.uint8]], tuple[Array, Array, dict[str, int]] | None]
    instructions: int
    code_bytes: int
    title: str


CODINGS = (
    Coding(0, encode_huffman, 20, 260, "Huffman-coded"),
    Coding(1, encode_table, 14, 90, "table-coded"),
    Coding(2, encode_sparse, 17, 90, "sparse"),
)


@dataclass(frozen=True, eq=False)
class Coded:
    """A call with coded weights, and what it costs beside the plain one."""

    call: KernelCall
    coding: Coding
    saved_bytes: int  # of constants
    instructions: int  # to decode


def coded_calls(call: KernelCall) -> tuple[Coded, ...]:
    """The variants of a call that store its weights in fewer bytes; none without units."""
    if call.units is None:
        return ()
    found = (coded_call(call, call.units, coding) for coding in CODINGS)
    return tuple(c for c in found if c is not None and c.saved_bytes > 0)


def store_int4(call: KernelCall) -> KernelCall | None:
    """A kernel for int8 weights over 4-bit ones: stored as indices into their sixteen values.

    None where that is not smaller than a byte for each: too few weights, or no units.
    """
    if call.units is None:
        return None
    found = coded_call(call, call.units, CODINGS[1])
    return None if found is None or found.saved_bytes <= 0 else found.call


def raw_bytes(units: Units) -> npt.NDArray[np.uint8]:
    """What is coded: the weights as bytes [units, weights of a unit], pairs taken apart."""
    section = units.rows[:, units.before : units.rows.shape[1] - units.after].copy()
    if units.paired:
        section[:, 1::2] += section[:, 0::2] >> 7  # the borrow of f0 + 256 * f1
    return section


def coded_call(call: KernelCall, units: Units, coding: Coding) -> Coded | None:
    """One variant, smaller or not; None where the coding cannot store these bytes."""
    weights = raw_bytes(units)
    encoded = coding.encode(weights.reshape(-1))
    if encoded is None:
        return None
    code, book, extra = encoded
    count, size = units.rows.shape
    # the inputs of a dense layer are at hand for every tile
    least = _TILE_UNITS if call.scratch_bytes else 1
    tile_units = min(count, max(least, _TILE_BYTES // size))
    tile = -(-call.scratch_bytes // _ALIGN) * _ALIGN
    lookup = lookup_bytes(extra["bits"]) if coding.kind == 0 else 0
    fields = (
        ("kind", coding.kind),
        ("units", count),
        ("tile_units", tile_units),
        ("before", units.before),
        ("weights", weights.shape[1]),
        ("after", units.after),
        ("channels", units.channels),
        *extra.items(),
        ("tile", tile),
        ("paired", units.paired),
    )
    heads = np.delete(units.rows, np.s_[units.before : size - units.after], axis=1).reshape(-1)
    consts = (Const("heads", heads), Const("code", code, align=1), Const("book", book, align=1))
    args = _args(call, fields, consts)
    blocks = -(-count // tile_units)
    made = replace(
        call,
        function=f"{call.function}_coded",
        header=call.header.replace(".h", "_coded.h"),
        args=args,
        scratch_bytes=tile + tile_units * size + lookup,
        overlaps=(),  # inputs are read again for every tile
        units=None,
        reason=f"{coding.title} weights, {blocks} tiles of {tile_units * units.channels} filters; "
        + call.reason,
    )
    plain = sum(a.data.nbytes for a in call.args if isinstance(a, Const))
    saved = plain - sum(c.data.nbytes for c in consts)
    return Coded(made, coding, saved, coding.instructions * weights.size)


def _args(
    call: KernelCall, fields: tuple[tuple[str, int | bool], ...], consts: tuple[Const, ...]
) -> tuple[Arg, ...]:
    """Parameters with those of the coding beside them, inputs, constants, output, scratch."""
    args: list[Arg] = []
    for arg in call.args:
        if isinstance(arg, Params):
            args.append(_params(arg, fields))
        elif isinstance(arg, Const):
            args += consts
        elif not isinstance(arg, Scratch):
            args.append(arg)
    assert isinstance(args[-1], Output)
    return (*args, Scratch("uint8_t"))


def _params(plain: Params, coded: tuple[tuple[str, int | bool], ...]) -> Params:
    fields = ((name, False if name == "reverse" else value) for name, value in plain.fields)
    nested = (f"kernel.{name}" for name in plain.structural)
    return Params(
        plain.ctype.replace("_params", "_coded_params"),
        (
            *((f"kernel.{name}", value) for name, value in fields),
            *((f"coded.{name}", value) for name, value in coded),
        ),
        structural=(*nested, "coded.kind"),
        optional=tuple(f"kernel.{name}" for name in plain.optional),
    )
