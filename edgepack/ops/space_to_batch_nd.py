"""SPACE_TO_BATCH_ND: pixels of one position in every block become a batch of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, Output
from edgepack.ops.shared.move import kernel_suffix
from edgepack.ops.shared.space_batch import SpaceBatchOp, extend
from edgepack.types import Array, DType, Shape


class SpaceToBatchNd(SpaceBatchOp):
    """The padded extents must be multiples of the block."""

    name = "SPACE_TO_BATCH_ND"
    notes = (
        "constant block shape and paddings; int8 pads with the zero point as LiteRT does "
        "(TFLite Micro pads with an uninitialised value)"
    )

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, blocks = view.input(0).shape, self.blocks(view)
        n, h, w, c = extend(shape)
        padded = [size + sum(pair) for size, pair in zip((h, w), blocks.border, strict=True)]
        if any(size % edge for size, edge in zip(padded, blocks.block, strict=True)):
            raise unsupported(view, f"{padded} is not divisible into blocks of {blocks.block}")
        rows, columns = padded[0] // blocks.block[0], padded[1] // blocks.block[1]
        spatial = (rows, columns) if len(shape) == 4 else (rows,)
        return ((n * blocks.block[0] * blocks.block[1], *spatial, c),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        n, h, w, c = extend(view.input(0).shape)
        blocks = self.blocks(view)
        (bh, bw), border = blocks.block, blocks.border
        data = inputs[0].reshape(n, h, w, c)
        padded = np.pad(data, ((0, 0), *border, (0, 0)), constant_values=int(self._fill(view)[0]))
        rows, columns = padded.shape[1] // bh, padded.shape[2] // bw
        split = padded.reshape(n, rows, bh, columns, bw, c)
        return (ensure_shape(split.transpose(2, 4, 0, 1, 3, 5), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return KernelCall(
            f"ep_space_to_batch_{kernel_suffix(view.output().dtype)}",
            "ep_space_batch.h",
            (
                self.params(view, space_slot_is_input=True),
                Input(0),
                Const("pad_value", self._fill(view), role="tables"),
                Output(0),
            ),
        )

    def _fill(self, view: NodeView) -> Array:
        out = view.output()
        value = out.zero_point if out.dtype in (DType.INT8, DType.UINT8) else 0
        return np.array([value], out.dtype.numpy)
