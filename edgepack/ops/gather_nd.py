"""GATHER_ND: slices of the input picked by tuples of indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.indices import check_index_type, check_range, demand_range
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import MOVED, check_moved, kernel_suffix, pitches
from edgepack.types import Array, Shape

_MAX_DEPTH = 6  # EP_GATHER_DIMS of firmware/kernels/ep_gather.h


class GatherNd(Op):
    """The last dimension of input 1 holds indices of the leading dimensions of input 0."""

    name = "GATHER_ND"
    types = MOVED
    arity = (2, 2)
    notes = (
        "every index is checked (TFLite only checks the element that a tuple leads to): "
        "refused if constant, else EP_ERR_INDEX"
    )

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        check_index_type(view, 1)
        data, indices = view.input(0), view.input(1)
        if not indices.shape or not 1 <= indices.shape[-1] <= min(len(data.shape), _MAX_DEPTH):
            raise unsupported(
                view, f"index tuples of {indices.shape[-1:]} for a tensor of rank {len(data.shape)}"
            )
        if indices.data is not None:
            for k in range(indices.shape[-1]):
                check_range(view, indices.data[..., k], data.shape[k])

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        data, indices = view.input(0).shape, view.input(1).shape
        return ((*indices[:-1], *data[indices[-1] :]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data, indices = inputs[0], inputs[1]
        assert data is not None and indices is not None
        columns = tuple(indices[..., k].astype(np.int64) for k in range(indices.shape[-1]))
        for column, extent in zip(columns, data.shape, strict=False):
            demand_range(column, extent)
        return (ensure_shape(data[columns], view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        data, indices = view.input(0), view.input(1)
        depth = indices.shape[-1]
        fill = (0,) * (_MAX_DEPTH - depth)
        params = Params(
            "ep_gather_nd_params",
            (
                ("count", math.prod(indices.shape[:-1])),
                ("depth", depth),
                ("dims", data.shape[:depth] + fill),
                ("pitch", pitches(data.shape)[:depth] + fill),
                ("run", math.prod(data.shape[depth:])),
            ),
        )
        return KernelCall(
            f"ep_gather_nd_{kernel_suffix(view.output().dtype)}_{indices.dtype.suffix}",
            "ep_gather.h",
            (params, Input(0), Input(1), Output(0)),
            fallible=True,
        )
