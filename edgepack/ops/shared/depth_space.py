"""SPACE_TO_DEPTH and DEPTH_TO_SPACE: blocks of pixels against channels, NHWC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.move import MoveOp


@dataclass(frozen=True)
class BlockAttributes(Attributes):
    """Edge of a block in pixels."""

    block: int


class DepthSpaceOp(MoveOp):
    """What both directions share: the block and the rank."""

    arity = (1, 1)

    def attributes(self, options: Any) -> Attributes:
        return BlockAttributes(int(options.blockSize))

    def check(self, view: NodeView) -> None:
        super().check(view)
        rank = len(view.input(0).shape)
        if rank != 4:
            raise unsupported(view, f"rank {rank}, must be 4")
        if self.block(view) < 1:
            raise unsupported(view, f"block size {self.block(view)}, must be positive")

    def block(self, view: NodeView) -> int:
        assert isinstance(view.node.attrs, BlockAttributes)
        return view.node.attrs.block
