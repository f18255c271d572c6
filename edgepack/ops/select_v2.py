"""SELECT_V2: elements of one of two operands; condition and operands broadcast."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.choice import Choice
from edgepack.types import Shape


class SelectV2(Choice):
    """All three broadcast from the last dimension, as numpy has it."""

    name = "SELECT_V2"
    notes = (
        "UINT8, BOOL, INT32 and INT64 as in LiteRT; integers: operands and output need one scale, "
        "because TFLM does not rescale"
    )

    def condition_shape(self, view: NodeView) -> Shape:
        return view.input(0).shape
