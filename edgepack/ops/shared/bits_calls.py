"""The kernel calls of layers with weights of one bit, and of what moves bits (ep_bits*.h)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgepack.ir import BitTensor
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.bits import (
    BOOK,
    I64,
    Codes,
    SignWeights,
    codes_of,
    geometry,
    multipliers_of,
    sum_words,
    xnor_words,
)
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.kernel import (
    Alias,
    Arg,
    Const,
    FieldValue,
    Input,
    KernelCall,
    Lowered,
    Null,
    Output,
    Params,
    Placement,
    Scratch,
)
from edgepack.ops.shared.pool import PoolAttributes
from edgepack.ops.shared.weighted import bias_operand, requant_operands
from edgepack.ops.shared.window import window

_CHUNK, _GROUPS = 32, 3  # EP_BITS_CHUNK, EP_BITS_GROUPS
_FEW_POSITIONS = 16  # of an output
_PLANES = ("int8", "bits", "three values")  # what activations are


@dataclass(frozen=True, eq=False)
class BitLayer:
    """How a CONV_2D or FULLY_CONNECTED computes.

    Args:
        weights: what they are.
        gain: of the accumulator for each unit of a sum.
        in_planes: of the BitTensor that is its input; 0 for int8.
        thresholds: [planes, filters] where its output is a BitTensor, else None.
        macs: as the op counts them.
    """

    weights: SignWeights
    gain: int
    in_planes: int
    thresholds: I64 | None
    macs: int

    @property
    def bits_in(self) -> bool:
        return self.in_planes > 0


@dataclass(frozen=True)
class BitMove:
    """A node that passes bits on: MAX_POOL_2D, RESHAPE and the like."""


BitNode = BitLayer | BitMove


def lower_bits(view: NodeView, node: BitNode, optimize: str) -> Lowered:
    """The call of a node; `view` is of the graph whose bits are BitTensors.

    Args:
        optimize: as in Isa; decides whether weights that can be are stored as indices of vectors.
    """
    if isinstance(node, BitLayer):
        return _layer(view, node, _codes(view, node, optimize))
    return _pool(view) if view.node.op == "MAX_POOL_2D" else _share(view)


def _share(view: NodeView) -> Lowered:
    placed = Placement(view.output().id, view.input(0).id)
    return Alias((placed,), reason="no copy: the bits lie in the same order")


def _pool(view: NodeView) -> KernelCall:
    source, out, attrs = view.input(0), view.output().shape, view.node.attrs
    assert isinstance(attrs, PoolAttributes) and isinstance(source, BitTensor)
    x = source.shape
    vertical = window(x[1], attrs.filter_h, attrs.stride_h, 1, attrs.padding)
    horizontal = window(x[2], attrs.filter_w, attrs.stride_w, 1, attrs.padding)
    fields = (
        ("batches", x[0] * source.planes),
        ("in_h", x[1]),
        ("in_w", x[2]),
        ("bytes", -(-x[3] // 8)),
        ("out_h", out[1]),
        ("out_w", out[2]),
        ("filter_h", attrs.filter_h),
        ("filter_w", attrs.filter_w),
        ("stride_h", attrs.stride_h),
        ("stride_w", attrs.stride_w),
        ("pad_top", vertical.pad),
        ("pad_left", horizontal.pad),
    )
    return KernelCall(
        "ep_bits_max_pool",
        "ep_bits_pool.h",
        (Params("ep_bits_pool_params", fields), Input(0), Output(0)),
        reason="bits: the largest is +1 if one is",
    )


def _codes(view: NodeView, layer: BitLayer, optimize: str) -> Codes | None:
    """The weights as indices where that is small and, but for `size`, not slow: tables of products
    are made anew for every position.
    """
    shape = dict(geometry(view))
    positions = shape["batches"] * shape["out_h"] * shape["out_w"]
    most = {"size": positions, "speed": 0}.get(optimize, _FEW_POSITIONS)
    return codes_of(layer.weights, bits=layer.bits_in) if positions <= most else None


def _layer(view: NodeView, layer: BitLayer, codes: Codes | None) -> KernelCall:
    plain, nonzero = (
        xnor_words(layer.weights) if layer.bits_in else (sum_words(layer.weights), None)
    )
    operands: list[Arg]
    if codes is not None and codes.codes.nbytes + codes.book.nbytes < plain.nbytes:
        family, kind = "ep_bits_codes", "ep_bits_codes" if layer.bits_in else "ep_bits_code_sums"
        operands = [Const("codes", codes.codes), Const("book", codes.book)]
        reason = f"vectors of 8 weights out of {BOOK}"
    elif layer.bits_in:
        family = kind = "ep_bits_xnor"
        operands = [Const("weights", plain)]
        operands.append(Null("uint16_t") if nonzero is None else Const("nonzero", nonzero))
        reason = "ternary weights" if nonzero is not None else "weights of one bit"
    else:
        family = kind = "ep_bits_sums"
        operands = [Const("weights", plain)]
        ternary = layer.weights.nonzero is not None
        reason = "ternary weights" if ternary else "weights of one bit"
    reason += ", " + _PLANES[layer.in_planes] + " in"
    shape = dict(geometry(view))
    out_planes = 0 if layer.thresholds is None else len(layer.thresholds)
    ends, output = _end(view, layer)
    fields: tuple[tuple[str, FieldValue], ...] = (
        *shape.items(),
        ("ternary", layer.weights.nonzero is not None),
        ("in_planes", layer.in_planes),
        ("out_planes", out_planes),
        ("input_offset", 0 if layer.bits_in else -view.input(0).zero_point),
        *output,
    )
    scratch = _scratch(shape, layer, coded=family == "ep_bits_codes")
    pointer = Scratch("uint32_t" if layer.bits_in else "int32_t")
    return KernelCall(
        f"{kind}_{'s8' if layer.thresholds is None else 'bits'}",
        f"{family}.h",
        (Params("ep_bits_params", fields), Input(0), *operands, *ends, Output(0), pointer),
        scratch_bytes=scratch,
        macs=layer.macs,
        reason=f"{reason}, {_PLANES[out_planes]} out",
    )


def _end(view: NodeView, layer: BitLayer) -> tuple[list[Arg], tuple[tuple[str, int], ...]]:
    """The operands that make outputs of sums, and the members of the parameters about them."""
    names = ("gain", "scale_step", "output_offset", "act_min", "act_max")
    if layer.thresholds is not None:
        dtype = np.int16 if layer.bits_in else np.int32
        made = Const("thresholds", layer.thresholds.reshape(-1).astype(dtype), role="tables")
        return [made], tuple((name, 0) for name in names)
    out, factors = view.output(), multipliers_of(view)
    activation = getattr(view.node.attrs, "activation", "NONE")
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    bias: Arg = Null("int32_t") if view.optional(2) is None else bias_operand(view)
    values = (layer.gain, int(factors.value.size > 1), out.zero_point, low, high)
    return [bias, *requant_operands(factors)], tuple(zip(names, values, strict=True))


def _scratch(shape: Mapping[str, int], layer: BitLayer, *, coded: bool) -> int:
    """Bytes of a kernel's windows, tables and sums, as the headers lay them out."""
    taps, sums = shape["kernel_h"] * shape["kernel_w"], 4 * shape["out_c"]
    if layer.bits_in:
        words = -(-taps * -(-shape["in_c"] // 8) // 4)
        return 8 * words + sums + (_GROUPS * BOOK if coded else 0)
    single = taps == 1 and shape["pad_top"] == shape["pad_left"] == 0
    inputs = 1 if single else taps * shape["in_c"]
    if coded:
        units = -(-inputs // (8 * _GROUPS))
        return sums + 2 * _GROUPS * BOOK + 16 * _GROUPS * units
    return sums + 2 * 4 * _CHUNK + 2 * _CHUNK * -(-inputs // _CHUNK)
