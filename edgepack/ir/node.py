"""Nodes of the IR: one operator applied to tensors."""

from __future__ import annotations

from dataclasses import dataclass

ABSENT = -1  # input slot of an optional tensor that is not given, as in TFLite


@dataclass(frozen=True)
class Attributes:
    """Base of every op's attributes; each op's file declares its own frozen subclass."""


@dataclass(frozen=True)
class Node:
    """One operator.

    Args:
        op: TFLite's BuiltinOperator name, such as CONV_2D (or an edgepack op made by a pass).
        inputs: tensor ids, ABSENT for an optional input that is not given.
        outputs: tensor ids.
        attrs: what the op's file defines.
        index: the operator's position in the .tflite file, for messages.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: Attributes
    index: int
