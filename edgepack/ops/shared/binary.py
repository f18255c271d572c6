"""Ops that combine two broadcast operands element by element."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import (
    MAX_DIMS,
    broadcast_shape,
    plan_broadcast,
)
from edgepack.ops.shared.elementwise import require_quantized, same_element_overlaps
from edgepack.ops.shared.fixed_point import (
    FLOAT_ACTIVATION_RANGE,
    INTEGER_RANGE,
    activation_range,
)
from edgepack.ops.shared.kernel import (
    FieldValue,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Params,
)
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape

Fields = tuple[tuple[str, FieldValue], ...]

# What CalculateActivationRange gives for integers without quantization.
_INTEGER_ACTIVATION = {
    "NONE": INTEGER_RANGE[DType.INT32],
    "RELU": (0, INTEGER_RANGE[DType.INT32][1]),
    "RELU6": (0, 6),
    "RELU_N1_TO_1": (-1, 1),
}


@dataclass(frozen=True)
class FusedAttributes(Attributes):
    """The fused activation."""

    activation: str = "NONE"


class Binary(Op):
    """Base; `kernel` is the C function without its type suffix."""

    arity = (2, 2)
    header: ClassVar[str] = "ep_binary.h"
    kernel: ClassVar[str]
    output_type: ClassVar[DType | None] = None  # None: the operands' type

    def check(self, view: NodeView) -> None:
        super().check(view)
        a, b, out = view.input(0), view.input(1), view.output()
        if a.dtype is not b.dtype:
            raise unsupported(view, f"operands of {a.dtype.value} and {b.dtype.value}")
        wanted = self.output_type or a.dtype
        if out.dtype is not wanted:
            raise unsupported(view, f"an output of {out.dtype.value}, allowed {wanted.value}")
        check_loops(view)
        if a.dtype in (DType.INT8, DType.INT16):
            require_quantized(view, a, b, out)

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (operands_shape(view),)

    @abstractmethod
    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        """The output's elements from broadcastable arrays of the operands' dtype."""

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        a, b = inputs[0], inputs[1]
        assert a is not None and b is not None
        with np.errstate(all="ignore"):
            return (ensure_shape(self.apply(view, a, b), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return binary_call(
            view, f"{self.kernel}_{view.input(0).dtype.suffix}", self.header, "ep_binary_params"
        )


class FusedBinary(Binary):
    """A binary op with a fused activation."""

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return FusedAttributes()
        return FusedAttributes(ACTIVATIONS[options.fusedActivationFunction])

    def check(self, view: NodeView) -> None:
        super().check(view)
        if self.activation(view) not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with {self.activation(view)}")

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        low, high = self.limits(view)
        dtype = view.output().dtype
        limits: Fields = (("act_min", low), ("act_max", high))
        if dtype in (DType.INT8, DType.INT16):
            params, fields = self.quantized_params(view)
        else:
            params, fields = f"ep_binary_{dtype.suffix}_params", ()
        return binary_call(
            view, f"{self.kernel}_{dtype.suffix}", self.header, params, (*fields, *limits)
        )

    @abstractmethod
    def quantized_params(self, view: NodeView) -> tuple[str, Fields]:
        """The params struct of the quantized kernel and its fields but the loops and the clamp."""

    def limits(self, view: NodeView) -> tuple[float, float]:
        """The clamp in the output's numbers."""
        out, activation = view.output(), self.activation(view)
        if out.dtype is DType.FLOAT32:
            return FLOAT_ACTIVATION_RANGE[activation]
        if out.dtype is DType.INT32:
            return _INTEGER_ACTIVATION[activation]
        return activation_range(activation, out.dtype, out.scale, out.zero_point)

    def activation(self, view: NodeView) -> str:
        assert isinstance(view.node.attrs, FusedAttributes)
        return view.node.attrs.activation


def operands_shape(view: NodeView) -> Shape:
    """The broadcast shape of operands 0 and 1.

    Raises:
        UnsupportedError: they do not fit together.
    """
    a, b = view.input(0).shape, view.input(1).shape
    shape = broadcast_shape(a, b)
    if shape is None:
        raise unsupported(view, f"shapes {list(a)} and {list(b)} do not broadcast")
    return shape


def check_loops(view: NodeView) -> None:
    """Refuse operands that need more nested loops than the kernels have."""
    shape = operands_shape(view)
    if len(plan_broadcast(view.input(0).shape, view.input(1).shape, shape).dims) > MAX_DIMS:
        raise unsupported(view, f"broadcasting over more than {MAX_DIMS} dimensions")


def binary_call(
    view: NodeView, function: str, header: str, params: str, fields: Fields = ()
) -> KernelCall:
    """A call (params, operand, operand, output) whose params start with the loops."""
    walk = plan_broadcast(view.input(0).shape, view.input(1).shape, view.output().shape)
    loops: Fields = tuple((f"walk.{name}", value) for name, value in walk.fields())
    return KernelCall(
        function,
        header,
        (Params(params, (*loops, *fields)), Input(0), Input(1), Output(0)),
        overlaps=same_element_overlaps(view),
        reason="portable C99 reference",
    )
