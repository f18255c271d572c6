"""GELU, exact or in its tanh form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, float_table, unary_call
from edgepack.ops.shared.float_math import gelu
from edgepack.ops.shared.kernel import Lowered
from edgepack.types import Array, DType


@dataclass(frozen=True)
class GeluAttributes(Attributes):
    """`approximate`: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3)))."""

    approximate: bool = False


class Gelu(Unary):
    """int8 is LiteRT's table."""

    name = "GELU"
    types = (DType.INT8, DType.FLOAT32)
    notes = "as in LiteRT (TFLM has no such kernel)"

    def attributes(self, options: Any) -> Attributes:
        return GeluAttributes() if options is None else GeluAttributes(bool(options.approximate))

    def apply(self, view: NodeView, x: Array) -> Array:
        approximate = self._approximate(view)
        if x.dtype == np.float32:
            return gelu(x, approximate=approximate)
        return float_table(view, x, lambda v: gelu(v, approximate=approximate))

    def lower_wide(self, view: NodeView) -> Lowered:
        function = "ep_gelu_tanh_f32" if self._approximate(view) else "ep_gelu_f32"
        return unary_call(view, function, "ep_activation.h", "ep_activation_params")

    def _approximate(self, view: NodeView) -> bool:
        assert isinstance(view.node.attrs, GeluAttributes)
        return view.node.attrs.approximate
