"""SPACE_TO_DEPTH: every block of pixels becomes one pixel with all their channels."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.depth_space import DepthSpaceOp
from edgepack.ops.shared.move import MovePlan, pitches, plan_move
from edgepack.types import Array, Shape


class SpaceToDepth(DepthSpaceOp):
    """Height and width must be multiples of the block size."""

    name = "SPACE_TO_DEPTH"

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        (n, h, w, c), block = view.input(0).shape, self.block(view)
        if h % block or w % block:
            raise unsupported(view, f"{h} x {w} pixels are not divisible into blocks of {block}")
        return ((n, h // block, w // block, c * block * block),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        (n, h, w, c), block = view.input(0).shape, self.block(view)
        blocks = inputs[0].reshape(n, h // block, block, w // block, block, c)
        return (ensure_shape(blocks.transpose(0, 1, 3, 2, 4, 5), view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        (n, h, w, c), block = view.input(0).shape, self.block(view)
        batch, row, pixel, _ = pitches((n, h, w, c))
        return plan_move(
            (n, h // block, w // block, block, block, c),
            (batch, row * block, pixel * block, row, pixel, 1),
        )
