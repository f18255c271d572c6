"""Index tensors of the gathering ops: constants are checked at build time, others on the device."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.types import Array, DType

INDEX_TYPES = (DType.INT32, DType.INT64)


def check_index_type(view: NodeView, slot: int) -> None:
    """Refuse indices that the kernels cannot read.

    Raises:
        UnsupportedError: not INT32 or INT64.
    """
    got = view.input(slot).dtype
    if got not in INDEX_TYPES:
        raise unsupported(view, f"its indices are {got.value}, allowed INT32 and INT64")


def check_range(view: NodeView, indices: Array, extent: int) -> None:
    """Refuse constant indices outside 0..extent-1.

    Raises:
        UnsupportedError: naming the first index that is out of range.
    """
    wrong = indices[(indices < 0) | (indices >= extent)]
    if wrong.size:
        raise unsupported(view, f"index {int(wrong[0])} is outside 0..{extent - 1}")


def demand_range(indices: Array, extent: int) -> None:
    """The run-time check of the reference.

    Raises:
        IndexError: where the C kernel returns EP_ERR_INDEX.
    """
    if indices.size and (indices.min() < 0 or indices.max() >= extent):
        raise IndexError(f"an index is outside 0..{extent - 1}")
