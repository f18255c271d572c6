"""Lowering of int8 DEPTHWISE_CONV_2D for cores with Helium (ep_depthwise_s8_mve.h)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import Fields
from edgepack.ops.shared.depthwise_dsp import upright
from edgepack.ops.shared.filters import constant_filters
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    KernelCall,
    Output,
    Overlap,
    Params,
    Scratch,
)
from edgepack.ops.shared.mve import CHUNK, OUTPUT_OPTIONAL, OUTPUT_STRUCTURE, output_fields
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.types import Array

_PAIRS = CHUNK // 2  # pairs of neighbouring inputs that one load takes
_REGISTERS = 4  # vectors of weights that stay in registers
_OUTPUTS = 4  # of a group
_GROUP_COST = 12  # instructions of a group besides loads and products (measured)
_MAX_TAPS = 255  # an index of one byte, of which the last is the zero
_MAX_OFFSET = (1 << 16) - 1
_MAX_STEP = _MAX_OFFSET // 7  # between the eight bytes that ep_mve_collect takes at once


@dataclass(frozen=True)
class Grouping:
    """How outputs are taken four at a time (ep_depthwise_s8_mve_params).

    Args:
        offsets: (row, column of the left one) of each pair of inputs that sharing outputs look at,
            from the first input of the first one; columns are even.
    """

    height: int
    width: int
    sharing: int
    offsets: tuple[tuple[int, int], ...]

    @property
    def chunks(self) -> int:
        return -(-len(self.offsets) // _PAIRS)

    @property
    def vectors(self) -> int:
        """Vectors of weights."""
        return self.sharing * self.chunks

    def cost(self, g: dict[str, int]) -> int:
        """Instructions per channel, roughly."""
        groups = -(-g["out_h"] // self.height) * -(-g["out_w"] // self.width)
        products = _OUTPUTS * self.chunks
        loads = self.chunks * _OUTPUTS // self.sharing
        weights = 0 if self.vectors <= _REGISTERS else products
        return groups * (_GROUP_COST + products + loads + weights)


def lower_depthwise_mve(
    view: NodeView, geometry: Fields, activation: str, macs: int
) -> KernelCall | None:
    """The Helium kernel's call, or None where its conditions do not hold."""
    x, out = view.input(0), view.output()
    g = upright(dict(geometry))
    taps = g["kernel_h"] * g["kernel_w"]
    filters = constant_filters(view, activation, by_last=True)
    if filters is None or taps > _MAX_TAPS or g["in_c"] > _MAX_STEP:
        return None
    multipliers = filters.multipliers
    grouping = min(_groupings(g), key=lambda option: (option.cost(g), len(option.offsets)))
    plane_h, plane_w = _plane(g, grouping)
    pairs = [row * plane_w + column for row, column in grouping.offsets]
    if max(pairs) > _MAX_OFFSET:
        return None
    same = ("batches", "in_h", "in_w", "in_c", "out_h", "out_w", "depth_multiplier")
    steps = ("stride_h", "stride_w", "pad_top", "pad_left")
    params = Params(
        "ep_depthwise_s8_mve_params",
        (
            *((name, g[name]) for name in same),
            ("taps", taps),
            *((name, g[name]) for name in steps),
            ("plane_h", plane_h),
            ("plane_w", plane_w),
            ("group_h", grouping.height),
            ("group_w", grouping.width),
            ("sharing", grouping.sharing),
            ("chunks", grouping.chunks),
            ("fill", x.zero_point),
            *output_fields(view, activation, multipliers),
        ),
        structural=(
            "batches",
            "depth_multiplier",
            "taps",
            "stride_h",
            "stride_w",
            "group_h",
            "group_w",
            "sharing",
            "chunks",
            *OUTPUT_STRUCTURE,
        ),
        optional=OUTPUT_OPTIONAL,
    )
    padding = -len(pairs) % _PAIRS
    lanes = np.array(pairs + [0] * padding, np.uint16)
    in_place = g["batches"] == g["depth_multiplier"] == 1 and out.nbytes <= x.nbytes
    spilled = 0 if grouping.vectors <= _REGISTERS else grouping.vectors * CHUNK
    return KernelCall(
        "ep_depthwise_s8_mve",
        "ep_depthwise_s8_mve.h",
        (
            params,
            Input(0),
            Const("stream", _stream(filters.weights, filters.folded, multipliers)),
            Const("pairs", lanes, role="tables"),
            Const("picks", _picks(g, grouping), role="tables"),
            Output(0),
            Scratch("int8_t"),
        ),
        scratch_bytes=-(-plane_h * plane_w // CHUNK) * CHUNK + spilled,
        overlaps=(Overlap(0, 0, 0, "exact"),) if in_place else (),
        macs=macs,
        reason=f"Helium on one channel's plane, {grouping.sharing} outputs share a load, in place",
    )


def _groupings(g: dict[str, int]) -> Iterator[Grouping]:
    """Every way to take four outputs whose loads begin at even columns."""
    odd = g["stride_w"] % 2
    for height, width in ((1, 4), (2, 2), (4, 1)):
        if odd and width == 1 and g["out_w"] > 1:
            continue
        for sharing in (1, 2, 4):
            if (sharing == 1 and odd and width > 1) or (sharing == 2 and width == 1):
                continue
            used = {
                (row, column // 2 * 2)
                for n in range(sharing)
                for row, column in _looks(g, *divmod(n, width))
            }
            yield Grouping(height, width, sharing, tuple(sorted(used)))


def _looks(g: dict[str, int], y: int, x: int) -> list[tuple[int, int]]:
    """Where output (y, x) of a group looks, per tap, from the group's first input."""
    return [
        (
            y * g["stride_h"] + ky * g["dilation_h"],
            x * g["stride_w"] + kx * g["dilation_w"],
        )
        for ky in range(g["kernel_h"])
        for kx in range(g["kernel_w"])
    ]


def _plane(g: dict[str, int], grouping: Grouping) -> tuple[int, int]:
    """Extents that hold the padded input and every load, those of surplus outputs included."""
    last_y = (-(-g["out_h"] // grouping.height) * grouping.height - 1) * g["stride_h"]
    last_x = (-(-g["out_w"] // grouping.width) * grouping.width - 1) * g["stride_w"]
    looks = _looks(g, 0, 0)
    height = last_y + max(row for row, _ in looks) + 1
    width = last_x + max(column for _, column in looks) + 1
    width = max(g["pad_left"] + g["in_w"], width)
    return max(g["pad_top"] + g["in_h"], height), width + width % 2


def _picks(g: dict[str, int], grouping: Grouping) -> npt.NDArray[np.uint8]:
    """Per chunk and sharing output, the tap of each of the sixteen inputs (taps: none)."""
    none = g["kernel_h"] * g["kernel_w"]
    picks = np.full((grouping.chunks, grouping.sharing, CHUNK), none, np.uint8)
    lane_of = {
        (row, column + side): 2 * n + side
        for n, (row, column) in enumerate(grouping.offsets)
        for side in (0, 1)
    }
    for output in range(grouping.sharing):
        for tap, look in enumerate(_looks(g, *divmod(output, grouping.width))):
            chunk, lane = divmod(lane_of[look], CHUNK)
            picks[chunk, output, lane] = tap
    return picks.reshape(-1)


def _stream(
    filters: Array, bias: npt.NDArray[np.int32], multipliers: ChannelMultipliers
) -> npt.NDArray[np.uint32]:
    """Everything that each channel needs, in the order in which the kernel reads it."""
    channels, taps = filters.shape
    records = np.zeros((channels, 8 + (taps + 5) // 4 * 4), np.int8)
    records[:, :4] = bias.astype("<i4").view(np.int8).reshape(channels, 4)
    records[:, 4:8] = multipliers.value.astype("<i4").view(np.int8).reshape(channels, 4)
    records[:, 8 : 8 + taps] = filters
    records[:, 9 + taps] = multipliers.shift
    return records.reshape(-1).view("<u4").astype(np.uint32)
