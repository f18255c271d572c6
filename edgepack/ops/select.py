"""SELECT: elements or rows of one of two operands."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.choice import Choice
from edgepack.types import Shape


class Select(Choice):
    """The condition has the operands' shape, or one entry for each row, or is one entry."""

    name = "SELECT"
    notes = "as in LiteRT (TFLM has no such kernel); integers: operands and output need one scale"

    def condition_shape(self, view: NodeView) -> Shape:
        condition, operand = view.input(0).shape, view.input(1).shape
        if operand != view.input(2).shape:
            raise unsupported(view, "its operands must have one shape")
        if condition == operand or not condition:
            return condition
        if len(condition) == 1 and operand and condition[0] == operand[0]:
            return condition + (1,) * (len(operand) - 1)
        raise unsupported(
            view,
            f"a condition of shape {list(condition)} for operands of {list(operand)}",
            rewrite="use SELECT_V2 (tf.where), whose condition broadcasts",
        )
