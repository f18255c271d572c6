"""One-op models of the ops with weights and bias, described by what tests vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.types import Array
from tests.c_batch import Case
from tests.ops.ladder import Tolerance
from tests.ops.samples import samples
from tests.tflite_builder import ModelBuilder, spec


@dataclass(frozen=True)
class Weighted:
    """A model with one op that has weights.

    Args:
        x, w, out: shapes; channels: output channels, along dimension `axis` of the weights.
        activation_type: INT8, INT16 or FLOAT32; weight_type: INT8, INT4 or FLOAT32.
        bias: INT32, INT64 or FLOAT32, or None for no bias input.
        real_multiplier: input scale * weight scale / output scale.
        bias_reach: largest magnitude of the bias in units of the accumulator.
        narrow: int8 weights without -128, as TFLite's quantizer makes them.
    """

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    out: tuple[int, ...]
    channels: int
    axis: int
    options: Mapping[str, Any]
    activation_type: str = "INT8"
    weight_type: str = "INT8"
    bias: str | None = "INT32"
    per_channel: bool = True
    zero_points: tuple[int, int] = (-3, 5)
    real_multiplier: float = 0.002
    bias_reach: int = 2000
    narrow: bool = False
    label: str = ""
    extra_inputs: Sequence[tuple[Array, str]] = ()

    def case(self, rng: np.random.Generator) -> Case:
        """The model and its samples; the weights come from rng."""
        model = ModelBuilder()
        is_float = self.activation_type == "FLOAT32"
        in_scale, out_scale = (None, None) if is_float else (0.04, 0.09)
        zeros = self.zero_points if self.activation_type == "INT8" else (0, 0)
        extra = [model.const(array, dtype) for array, dtype in self.extra_inputs]
        x = model.input("x", self.x, self.activation_type, in_scale, zeros[0])
        scale = self._weight_scales(rng)
        w = model.const(self._weights(rng), self.weight_type, scale, axis=self.axis)
        operands: list[int | None] = [*extra, w, x] if extra else [x, w]
        if self.bias is not None:
            operands.append(self._bias(model, rng, in_scale, scale))
        made = spec(self.out, self.activation_type, out_scale, zeros[1])
        model.output(*model.op(self.op, operands, [made], self.options))
        return Case(
            f"{self.op} {self.label}", model.build(), samples(rng, self.activation_type, self.x)
        )

    def _weights(self, rng: np.random.Generator) -> Array:
        if self.weight_type == "FLOAT32":
            return rng.normal(0, 1, self.w).astype(np.float32)
        reach = 8 if self.weight_type == "INT4" else 128
        low = 1 - reach if self.narrow else -reach
        return rng.integers(low, reach, self.w).astype(np.int8)

    def _weight_scales(self, rng: np.random.Generator) -> list[float] | float | None:
        if self.weight_type == "FLOAT32":
            return None
        scale = self.real_multiplier * 0.09 / 0.04
        if not self.per_channel:
            return scale
        return [float(s) for s in scale * rng.uniform(0.3, 1.0, self.channels)]

    def _bias(
        self,
        model: ModelBuilder,
        rng: np.random.Generator,
        in_scale: float | None,
        scale: list[float] | float | None,
    ) -> int:
        assert self.bias is not None
        if in_scale is None:
            return model.const(rng.normal(0, 3, self.channels).astype(np.float32), self.bias)
        values = rng.integers(-self.bias_reach, self.bias_reach, self.channels, endpoint=True)
        bias_scale = in_scale * np.asarray(scale)
        return model.const(values, self.bias, bias_scale)


# Sums of up to 200 products of magnitude up to 25: each addition rounds by at most 2**-24 of the
# partial sum (about 500), and cancellation leaves that error absolute.
DOT_PRODUCTS = Tolerance(2e-6, 2e-4, "order of float32 additions with cancellation")

FLOAT: dict[str, Any] = {
    "activation_type": "FLOAT32",
    "weight_type": "FLOAT32",
    "bias": "FLOAT32",
    "per_channel": False,
}
INT16_B64: dict[str, Any] = {"activation_type": "INT16", "bias": "INT64"}
INT16_B32: dict[str, Any] = {"activation_type": "INT16", "bias": "INT32"}
INT4: dict[str, Any] = {"weight_type": "INT4"}
