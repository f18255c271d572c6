"""EMBEDDING_LOOKUP: rows of a table picked by index, dequantized if the output is float."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.indices import check_range, demand_range
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.types import Array, DType, Shape


class EmbeddingLookup(Op):
    """Input 0 holds the indices, input 1 the table."""

    name = "EMBEDDING_LOOKUP"
    types = (DType.INT8, DType.FLOAT32)
    type_slot = 1
    arity = (2, 2)
    notes = "int8 table to int8 or float32; indices out of range: EP_ERR_INDEX"

    def check(self, view: NodeView) -> None:
        super().check(view)
        rows, table, out = view.input(0), view.input(1), view.output()
        if rows.dtype is not DType.INT32 or len(rows.shape) != 1:
            raise unsupported(view, f"its indices are {rows.describe()}, must be INT32 of rank 1")
        if len(table.shape) < 2:
            raise unsupported(view, f"a table of rank {len(table.shape)}, at least 2")
        if out.dtype not in (table.dtype, DType.FLOAT32):
            raise unsupported(view, f"no kernel from {table.dtype.value} to {out.dtype.value}")
        if table.dtype is not out.dtype and (
            table.quant is None or table.quant.per_channel or table.zero_point
        ):
            raise unsupported(view, "a table to dequantize needs one scale and zero point 0")
        if rows.data is not None:
            check_range(view, rows.data, table.shape[0])

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return ((*view.input(0).shape, *view.input(1).shape[1:]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        rows, table = inputs[0], inputs[1]
        assert rows is not None and table is not None
        demand_range(rows, table.shape[0])
        picked = table[rows]
        if table.dtype != view.output().dtype.numpy:
            picked = np.float32(view.input(1).scale) * picked.astype(np.float32)
        return (ensure_shape(picked, view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        rows, table, out = view.input(0), view.input(1), view.output()
        columns = math.prod(table.shape[1:])
        if table.dtype is not out.dtype:
            params = Params(
                "ep_embedding_params",
                (
                    ("count", rows.elements),
                    ("rows", table.shape[0]),
                    ("columns", columns),
                    ("scale", table.scale),
                ),
            )
            function = "ep_embedding_s8_f32"
        else:
            params = Params(
                "ep_gather_params",
                (
                    ("batch", 1),
                    ("outer", 1),
                    ("axis", table.shape[0]),
                    ("count", rows.elements),
                    ("run", columns),
                ),
            )
            function = f"ep_gather_{out.dtype.suffix}_s32"
        return KernelCall(
            function,
            "ep_gather.h",
            (params, Input(1), Input(0), Output(0)),
            fallible=True,
            reason=f"rows of {columns} elements by index",
        )
