"""RESIZE_NEAREST_NEIGHBOR: every output pixel is a copy of one input pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, Output
from edgepack.ops.shared.move import MOVED, kernel_suffix, lower_move, pitches, plan_move
from edgepack.ops.shared.resize import Ints, ResizeOp, nearest
from edgepack.types import Array


class ResizeNearestNeighbor(ResizeOp):
    """Whole factors are strided copies, others read tables of indices."""

    name = "RESIZE_NEAREST_NEIGHBOR"
    types = MOVED
    notes = "constant size"

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        rows, columns = self._maps(view)
        return (ensure_shape(inputs[0][:, rows][:, :, columns], view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        rows, columns = self._maps(view)
        y, x = _regular(rows), _regular(columns)
        if y is not None and x is not None:
            n, _, _, c = view.input(0).shape
            batch, row, pixel, _ = pitches(view.input(0).shape)
            plan = plan_move(
                (n, len(rows) // y[2], y[2], len(columns) // x[2], x[2], c),
                (batch, y[1] * row, 0, x[1] * pixel, 0, 1),
                y[0] * row + x[0] * pixel,
            )
            return lower_move(view, plan)
        return KernelCall(
            f"ep_resize_nearest_{kernel_suffix(view.output().dtype)}",
            "ep_resize.h",
            (
                self.params(view),
                Const("rows", rows.astype(np.int16), role="tables"),
                Const("columns", columns.astype(np.int16), role="tables"),
                Input(0),
                Output(0),
            ),
            reason="indices from tables made at build time",
        )

    def _maps(self, view: NodeView) -> tuple[Ints, Ints]:
        (_, h, w, _), (_, out_h, out_w, _) = view.input(0).shape, view.output().shape
        attrs = self.attrs(view)
        return nearest(h, out_h, attrs), nearest(w, out_w, attrs)


def _regular(indices: Ints) -> tuple[int, int, int] | None:
    """(first, step, repeat) if indices[i] = first + step * (i // repeat) with whole repeats."""
    first = int(indices[0])
    repeat = int(np.argmax(indices != first)) or len(indices)
    if len(indices) % repeat:
        return None
    step = int(indices[repeat]) - first if repeat < len(indices) else 0
    expected = first + step * (np.arange(len(indices)) // repeat)
    return (first, step, repeat) if np.array_equal(indices, expected) else None
