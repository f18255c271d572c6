"""What the lowerings for cores with Helium share: chunks of sixteen, output constants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.kernel import FieldValue
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.types import Array

CHUNK = 16  # int8 of one vector
GROUP = 4  # filters that share one pass over the inputs

# Of ep_mve_output: what decides which code is needed, and what only switches on a shortcut.
OUTPUT_STRUCTURE = ("to.act_min", "to.act_max")
OUTPUT_OPTIONAL = ("to.relu", "to.right")


def output_fields(
    view: NodeView, activation: str, multipliers: ChannelMultipliers
) -> tuple[tuple[str, FieldValue], ...]:
    """The members of ep_mve_output (ep_mve.h), as the member `to`."""
    out = view.output()
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    return (
        ("to.offset", out.zero_point),
        ("to.act_min", low),
        ("to.act_max", high),
        ("to.relu", low == out.zero_point),
        ("to.right", bool(multipliers.shift.max() < 0)),
    )


def pack_filter_groups(filters: Array) -> npt.NDArray[np.int8]:
    """Weights [channels, K] as ep_dot_mve.h reads them: int8 [groups of four, bytes of a group]."""
    channels, k = filters.shape
    padded = np.zeros((-(-channels // GROUP) * GROUP, -(-k // CHUNK) * CHUNK), np.int8)
    padded[:channels, :k] = filters
    groups = len(padded) // GROUP
    chunks = padded.reshape(groups, GROUP, -1, CHUNK).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(chunks).reshape(groups, -1)


def group_words(values: Array) -> npt.NDArray[np.int8]:
    """int32 [channels] as bytes [groups of four, 16], zeros behind the last."""
    padded = np.pad(values.astype("<i4"), (0, -len(values) % GROUP))
    return padded.reshape(-1, GROUP).view(np.int8).reshape(-1, 4 * GROUP)


def group_bytes(values: Array) -> npt.NDArray[np.int8]:
    """int8 [channels] as [groups of four, 4], zeros behind the last."""
    return np.pad(values.astype(np.int8), (0, -len(values) % GROUP)).reshape(-1, GROUP)
