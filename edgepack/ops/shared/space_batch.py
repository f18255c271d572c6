"""The block shape and the paddings or crops of SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.kernel import FieldValue, Params
from edgepack.ops.shared.move import MOVED, check_moved, constant_ints


@dataclass(frozen=True)
class Blocks:
    """Block (height, width) and what is added or cut off, as ((top, bottom), (left, right))."""

    block: tuple[int, int]
    border: tuple[tuple[int, int], tuple[int, int]]


class SpaceBatchOp(Op):
    """Both directions: inputs 1 and 2 are constants; rank 3 is taken as width 1."""

    types = MOVED
    arity = (3, 3)

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        rank = len(view.input(0).shape)
        if rank not in (3, 4):
            raise unsupported(view, f"rank {rank}, allowed 3 and 4")
        self.blocks(view)

    def blocks(self, view: NodeView) -> Blocks:
        """The constants, rank 3 extended.

        Raises:
            UnsupportedError: wrong counts or values.
        """
        spatial = len(view.input(0).shape) - 2
        block = constant_ints(view, 1, "block shape")
        border = constant_ints(view, 2, "paddings or crops")
        if len(block) != spatial or min(block) < 1:
            raise unsupported(view, f"block shape {list(block)}, must be {spatial} positive values")
        if len(border) != 2 * spatial or min(border) < 0:
            raise unsupported(view, f"paddings or crops {list(border)}")
        if spatial == 1:
            block, border = (*block, 1), (*border, 0, 0)
        return Blocks((block[0], block[1]), ((border[0], border[1]), (border[2], border[3])))

    def params(self, view: NodeView, *, space_slot_is_input: bool) -> Params:
        """ep_space_batch_params."""
        space, batch = extend(view.input(0).shape), extend(view.output().shape)
        if not space_slot_is_input:
            space, batch = batch, space
        blocks = self.blocks(view)
        fields: tuple[tuple[str, FieldValue], ...] = (
            ("batches", space[0]),
            ("space_h", space[1]),
            ("space_w", space[2]),
            ("channels", space[3]),
            ("block_h", blocks.block[0]),
            ("block_w", blocks.block[1]),
            ("blocks_h", batch[1]),
            ("blocks_w", batch[2]),
            ("top", blocks.border[0][0]),
            ("left", blocks.border[1][0]),
        )
        return Params("ep_space_batch_params", fields)


def extend(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """[n, h, c] or [n, h, w, c] as [n, h, w, c]."""
    if len(shape) == 3:
        return shape[0], shape[1], 1, shape[2]
    n, h, w, c = shape
    return n, h, w, c
