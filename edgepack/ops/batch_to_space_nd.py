"""BATCH_TO_SPACE_ND: the inverse of SPACE_TO_BATCH_ND, with the border cut off."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output
from edgepack.ops.shared.move import kernel_suffix
from edgepack.ops.shared.space_batch import SpaceBatchOp, extend
from edgepack.types import Array, Shape


class BatchToSpaceNd(SpaceBatchOp):
    """The batch must be a multiple of the block's pixels."""

    name = "BATCH_TO_SPACE_ND"
    notes = "constant block shape and crops"

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, blocks = view.input(0).shape, self.blocks(view)
        n, h, w, c = extend(shape)
        bh, bw = blocks.block
        rows, columns = h * bh - sum(blocks.border[0]), w * bw - sum(blocks.border[1])
        if n % (bh * bw) or rows < 0 or columns < 0:
            raise unsupported(
                view, f"batch {n} in blocks of {bh} x {bw}, crops {list(blocks.border)}"
            )
        spatial = (rows, columns) if len(shape) == 4 else (rows,)
        return ((n // (bh * bw), *spatial, c),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        n, h, w, c = extend(view.input(0).shape)
        blocks = self.blocks(view)
        (bh, bw), ((top, bottom), (left, right)) = blocks.block, blocks.border
        split = inputs[0].reshape(bh, bw, n // (bh * bw), h, w, c)
        space = split.transpose(2, 3, 0, 4, 1, 5).reshape(n // (bh * bw), h * bh, w * bw, c)
        cropped = space[:, top : h * bh - bottom, left : w * bw - right]
        return (ensure_shape(cropped, view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return KernelCall(
            f"ep_batch_to_space_{kernel_suffix(view.output().dtype)}",
            "ep_space_batch.h",
            (self.params(view, space_slot_is_input=False), Input(0), Output(0)),
        )
