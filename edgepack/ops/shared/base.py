"""What every op's file provides. docs/adding_an_op.md walks through a new one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.ir import Attributes, Graph, Node, Tensor
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType, Shape

QUANTIZE_RECIPE = "[quantize] in edgepack.toml and edgepack run (docs/config.md)"


@dataclass(frozen=True)
class NodeView:
    """A node with its tensors resolved."""

    node: Node
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    @classmethod
    def of(cls, graph: Graph, node: Node) -> NodeView:
        return cls(node, graph.node_inputs(node), graph.node_outputs(node))

    def input(self, slot: int) -> Tensor:
        """Input tensor `slot`.

        Raises:
            UnsupportedError: it is absent.
        """
        tensor = self.optional(slot)
        if tensor is None:
            raise unsupported(self, f"input {slot} is missing")
        return tensor

    def optional(self, slot: int) -> Tensor | None:
        """Input tensor `slot`, or None where the node has no such input."""
        return self.inputs[slot] if slot < len(self.inputs) else None

    def const(self, slot: int, what: str) -> Array:
        """The value of constant input `slot`.

        Raises:
            UnsupportedError: the input is computed at run time.
        """
        tensor = self.input(slot)
        if tensor.data is None:
            raise unsupported(
                self, f"its {what} (input {slot}) is computed at run time, not a constant"
            )
        return tensor.data

    def output(self, slot: int = 0) -> Tensor:
        return self.outputs[slot]

    def describe(self) -> str:
        """`op 3 CONV_2D (INT8[1,4,4,1], ...) -> INT8[1,2,2,8]`, for messages."""
        ins = ", ".join("-" if t is None else t.describe() for t in self.inputs)
        outs = ", ".join(t.describe() for t in self.outputs)
        return f"op {self.node.index} {self.node.op} ({ins}) -> {outs}"


def unsupported(view: NodeView, why: str, *, rewrite: str | None = None) -> UnsupportedError:
    """The error for a node that the C runtime cannot run: which, why, and what would avoid it."""
    return UnsupportedError(
        f"{view.describe()}: {why}",
        next_step=rewrite or "edgepack inspect MODEL   # shows which ops and types are supported",
    )


class Op(ABC):
    """One operator: its attributes, shape rule, numpy reference and lowering to a C kernel.

    `types` lists the element types of input `type_slot` for which the C runtime has a kernel; it is
    the source of `edgepack inspect`'s support table and of docs/operators.md.
    """

    name: ClassVar[str]
    types: ClassVar[tuple[DType, ...]]
    type_slot: ClassVar[int] = 0
    arity: ClassVar[tuple[int, int]]  # fewest and most inputs
    notes: ClassVar[str] = ""  # limits, shown in docs/operators.md
    variants: ClassVar[tuple[str, ...]] = ()  # kernels beside the portable one: their suffixes

    def attributes(self, options: Any) -> Attributes:
        """Attributes from the flatbuffer's options object (None when the file has none)."""
        return Attributes()

    def check(self, view: NodeView) -> None:
        """Refuse what the C runtime cannot run; overridden ops call super() first.

        Raises:
            UnsupportedError: an input count, element type or attribute without a kernel.
        """
        low, high = self.arity
        if not low <= len(view.inputs) <= high:
            raise unsupported(view, f"{len(view.inputs)} inputs, allowed {low} to {high}")
        got = view.input(self.type_slot).dtype
        if got not in self.types:
            allowed = ", ".join(t.value for t in self.types)
            raise unsupported(
                view,
                f"no C kernel for {got.value}; {self.name} supports {allowed}",
                rewrite=_dtype_rewrite(got),
            )

    @abstractmethod
    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        """The shapes of the outputs, from the inputs, constants and attributes.

        Raises:
            UnsupportedError: shapes that do not fit together.
        """

    @abstractmethod
    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The outputs computed in numpy with TFLite Micro's exact integer semantics.

        Args:
            inputs: one array per input in the tensor's shape and dtype, None where absent. An
                input that is state (a variable tensor, or the variable that a resource handle
                names) is the state itself, which the op changes in place.
        """

    @abstractmethod
    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        """The kernel call for this node; `check` has passed."""

    def macs(self, view: NodeView) -> int:
        """Multiply-accumulates of the op as the model states it (MLPerf Tiny's way of counting)."""
        return 0


def _dtype_rewrite(got: DType) -> str | None:
    if got is DType.UINT8:
        return "convert the legacy uint8 model to int8 (same values minus 128)"
    if got in (DType.FLOAT16, DType.INT4):
        return f"quantize the model to full-integer INT8: {QUANTIZE_RECIPE}"
    return None


def ensure_shape(array: Array, tensor: Tensor) -> Array:
    """`array` in the tensor's shape and dtype; the last line of most references."""
    return np.ascontiguousarray(array, dtype=tensor.dtype.numpy).reshape(tensor.shape)
