"""DEPTH_TO_SPACE: every pixel becomes a block of pixels with fewer channels."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.depth_space import DepthSpaceOp
from edgepack.ops.shared.move import MovePlan, pitches, plan_move
from edgepack.types import Array, Shape


class DepthToSpace(DepthSpaceOp):
    """The channels must be a multiple of the block's pixels."""

    name = "DEPTH_TO_SPACE"

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        (n, h, w, c), block = view.input(0).shape, self.block(view)
        if c % (block * block):
            raise unsupported(view, f"{c} channels do not fill blocks of {block} x {block}")
        return ((n, h * block, w * block, c // (block * block)),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        (n, h, w, c), block = view.input(0).shape, self.block(view)
        blocks = inputs[0].reshape(n, h, w, block, block, c // (block * block))
        return (ensure_shape(blocks.transpose(0, 1, 3, 2, 4, 5), view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        (n, h, w, c), block = view.input(0).shape, self.block(view)
        batch, row, pixel, _ = pitches((n, h, w, c))
        depth = c // (block * block)
        return plan_move(
            (n, h, block, w, block, depth),
            (batch, row, block * depth, pixel, depth, 1),
        )
