"""GATHER: slices of the input picked by index along one dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.indices import check_index_type, check_range, demand_range
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import (
    MOVED,
    check_moved,
    kernel_suffix,
    lower_move,
    plan_move,
    resolve_axis,
)
from edgepack.types import Array, Shape


@dataclass(frozen=True)
class GatherAttributes(Attributes):
    """The indexed dimension, and how many leading dimensions data and indices share."""

    axis: int = 0
    batch_dims: int = 0


@dataclass(frozen=True)
class _Extents:
    batch: int
    outer: int
    axis: int
    count: int
    run: int


class Gather(Op):
    """Input 1 holds the indices; its shape replaces the indexed dimension."""

    name = "GATHER"
    types = MOVED
    arity = (2, 2)
    notes = "indices out of range: refused if constant, else EP_ERR_INDEX"

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return GatherAttributes()
        return GatherAttributes(int(options.axis), int(options.batchDims))

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        check_index_type(view, 1)
        axis, batch = self._position(view)
        data, indices = view.input(0), view.input(1)
        if batch > axis or data.shape[:batch] != indices.shape[:batch]:
            raise unsupported(view, f"axis {axis} with {batch} batch dimensions")
        if indices.data is not None:
            check_range(view, indices.data, data.shape[axis])

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        axis, batch = self._position(view)
        shape, chosen = view.input(0).shape, view.input(1).shape
        return ((*shape[:axis], *chosen[batch:], *shape[axis + 1 :]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data, indices = inputs[0], inputs[1]
        assert data is not None and indices is not None
        n, out = self._extents(view), view.output()
        demand_range(indices, n.axis)
        rows = data.reshape(n.batch, n.outer, n.axis, n.run)
        picked = [
            row.take(chosen, axis=1)
            for row, chosen in zip(rows, indices.reshape(n.batch, n.count), strict=True)
        ]
        return (ensure_shape(np.stack(picked), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        n = self._extents(view)
        indices = view.input(1).data
        if indices is not None and n.batch == 1 and indices.size:
            flat = indices.reshape(-1).astype(np.int64)
            step = int(flat[1] - flat[0]) if flat.size > 1 else 1
            if (np.diff(flat) == step).all():
                plan = plan_move(
                    (n.outer, n.count, n.run),
                    (n.axis * n.run, step * n.run, 1),
                    int(flat[0]) * n.run,
                )
                return lower_move(view, plan, forward=step > 0)
        params = Params(
            "ep_gather_params",
            (
                ("batch", n.batch),
                ("outer", n.outer),
                ("axis", n.axis),
                ("count", n.count),
                ("run", n.run),
            ),
        )
        return KernelCall(
            f"ep_gather_{kernel_suffix(view.output().dtype)}_{view.input(1).dtype.suffix}",
            "ep_gather.h",
            (params, Input(0), Input(1), Output(0)),
            fallible=True,
            reason=f"runs of {n.run} elements by index",
        )

    def _position(self, view: NodeView) -> tuple[int, int]:
        """Axis and number of batch dimensions, counted from the front."""
        attrs = view.node.attrs
        assert isinstance(attrs, GatherAttributes)
        rank, index_rank = len(view.input(0).shape), len(view.input(1).shape)
        batch = attrs.batch_dims + (index_rank if attrs.batch_dims < 0 else 0)
        if not 0 <= batch <= index_rank:
            raise unsupported(view, f"{attrs.batch_dims} batch dimensions of {index_rank}")
        return resolve_axis(view, attrs.axis, rank), batch

    def _extents(self, view: NodeView) -> _Extents:
        axis, batch = self._position(view)
        shape, chosen = view.input(0).shape, view.input(1).shape
        return _Extents(
            math.prod(shape[:batch]),
            math.prod(shape[batch:axis]),
            shape[axis],
            math.prod(chosen[batch:]),
            math.prod(shape[axis + 1 :]),
        )
