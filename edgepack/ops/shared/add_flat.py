"""Lowering of the common int8 ADD: equal shapes, one operand at the larger scale."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.broadcast import elementwise_overlaps
from edgepack.ops.shared.fixed_point import Multiplier, activation_range
from edgepack.ops.shared.kernel import Input, KernelCall, Output, Params
from edgepack.types import DType

_HALF = Multiplier(1 << 30, 0)  # the factor of the operand with the larger scale: exactly one half
_MAX_SHIFT = 22  # keeps zero point << shift and half a step inside 31 bits


def lower_add_flat(
    view: NodeView, factors: tuple[Multiplier, Multiplier], output: Multiplier, activation: str
) -> KernelCall | None:
    """The fast kernel's call (ep_add_s8_flat.h), or None where its conditions do not hold.

    Args:
        factors: of both operands, as TFLite rescales them (left shift 20 comes before).
        output: of the sum.
    """
    a, b, out = view.input(0), view.input(1), view.output()
    if a.dtype is not DType.INT8 or not a.shape == b.shape == out.shape:
        return None
    first = 0 if factors[0] == _HALF else 1
    if factors[first] != _HALF:
        return None
    other = factors[1 - first]
    shift_b, shift = -other.shift, -output.shift
    if not (0 <= shift_b <= _MAX_SHIFT and 1 <= shift <= _MAX_SHIFT):
        return None
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    shifter, scaled = (a, b) if first == 0 else (b, a)
    params = Params(
        "ep_add_s8_flat_params",
        (
            ("count", out.elements),
            ("start_a", -shifter.zero_point << 19),
            ("start_b", -scaled.zero_point << 21),
            ("multiplier_b", other.value),
            ("half_b", (1 << shift_b) >> 1),
            ("shift_b", shift_b),
            ("multiplier", output.value),
            ("round", (2 * out.zero_point + 1) << (shift - 1)),
            ("shift", shift),
            ("act_min", low),
            ("act_max", high),
        ),
        structural=("act_min", "act_max"),
    )
    return KernelCall(
        "ep_add_s8_flat",
        "ep_add_s8_flat.h",
        (params, Input(first), Input(1 - first), Output(0)),
        overlaps=elementwise_overlaps(view),
        cheap_to_share=True,
        reason="equal shapes; the operand with the larger scale only shifts",
    )
