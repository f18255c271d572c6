"""SVDF: a dense layer over features, then one over the last steps in time, with state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.fixed_point import (
    FLOAT_ACTIVATION_RANGE,
    Multiplier,
    float_activation,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Null,
    Output,
    Params,
    State,
)
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape

_X, _FEATURE, _TIME, _BIAS, _STATE = range(5)


@dataclass(frozen=True)
class SvdfAttributes(Attributes):
    """rank: filters per unit."""

    rank: int = 1
    activation: str = "NONE"


@dataclass(frozen=True)
class _Scales:
    """feature: accumulator to state; time: sum over time to output."""

    feature: Multiplier
    time: Multiplier


class Svdf(Op):
    """x [batch, inputs], weights [filters, inputs] and [filters, memory], bias [units].

    The state [batch, filters * memory] holds each filter's last `memory` features; filters =
    units * rank. int8 ignores the activation and clamps to the type, as TFLM does.
    """

    name = "SVDF"
    types = (DType.INT8, DType.FLOAT32)
    arity = (5, 5)
    notes = (
        "INT8 with INT8 or INT16 state and time weights; the activation of INT8 is the type's "
        "range, as in TFLM; also without a bias, which TFLM's kernel crashes on"
    )

    def attributes(self, options: Any) -> Attributes:
        return SvdfAttributes(int(options.rank), ACTIVATIONS[options.fusedActivationFunction])

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out, state = view.input(_X), view.output(), view.input(_STATE)
        feature = view.const(_FEATURE, "feature weights")
        time = view.const(_TIME, "time weights")
        bias, rank = view.optional(_BIAS), self._attrs(view).rank
        if not state.is_variable:
            raise unsupported(view, f"its state {state.name!r} is not a variable tensor")
        kinds = (x.dtype, view.input(_FEATURE).dtype, view.input(_TIME).dtype, state.dtype)
        allowed = (
            (DType.INT8,) * 4,
            (DType.INT8, DType.INT8, DType.INT16, DType.INT16),
            (DType.FLOAT32,) * 4,
        )
        if kinds not in allowed or out.dtype is not x.dtype:
            raise unsupported(view, "types of input, weights and state that have no kernel")
        if self._attrs(view).activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"activation {self._attrs(view).activation}")
        filters, units = feature.shape[0], feature.shape[0] // max(rank, 1)
        fits = (
            x.shape == (x.shape[0], feature.shape[1])
            and time.ndim == 2
            and time.shape[0] == filters
            and rank >= 1
            and filters % rank == 0
            and state.elements == x.shape[0] * filters * time.shape[1]
        )
        if not fits:
            raise unsupported(view, f"shapes that do not fit together with rank {rank}")
        if bias is not None and (bias.data is None or bias.elements != units):
            raise unsupported(view, f"a bias that is not a constant of {units} values")
        if x.dtype is DType.INT8:
            check_quantized(view, x, view.input(_FEATURE), view.input(_TIME), state, out)
            if view.input(_FEATURE).zero_point or view.input(_TIME).zero_point:
                raise unsupported(view, "weights with a zero point other than 0")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        filters = view.input(_FEATURE).shape[0]
        return ((view.input(_X).shape[0], filters // self._attrs(view).rank),)

    def macs(self, view: NodeView) -> int:
        weights = view.input(_FEATURE).elements + view.input(_TIME).elements
        return view.input(_X).shape[0] * weights

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, feature, time, bias, state = inputs
        assert x is not None and feature is not None and time is not None and state is not None
        filters, memory = time.shape
        history = state.reshape(len(x), filters, memory)
        history[:, :, :-1] = history[:, :, 1:].copy()
        out, rank = view.output(), self._attrs(view).rank
        if out.dtype is DType.FLOAT32:
            history[:, :, -1] = x @ feature.T
            sums = (history * time).sum(axis=2).reshape(len(x), filters // rank, rank).sum(axis=2)
            total = sums if bias is None else sums + bias
            return (ensure_shape(float_activation(total, self._attrs(view).activation), out),)
        scales, zero = self._scales(view), view.input(_STATE).zero_point
        limits = np.iinfo(state.dtype)
        acc = (x.astype(np.int64) - view.input(_X).zero_point) @ feature.astype(np.int64).T
        latest = requantize(wrap_int32(acc), scales.feature.value, scales.feature.shift)
        # the zero point is added after the clamp, and the sum may wrap: TFLM's order
        history[:, :, -1] = (np.clip(latest, limits.min, limits.max) + zero).astype(state.dtype)
        sums = ((history.astype(np.int64) - zero) * time.astype(np.int64)).sum(axis=2)
        total = sums.reshape(len(x), filters // rank, rank).sum(axis=2)
        if bias is not None:
            total = total + bias
        result = requantize(wrap_int32(total), scales.time.value, scales.time.shift)
        return (ensure_shape(np.clip(result + out.zero_point, -128, 127), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, state, out = view.input(_X), view.input(_STATE), view.output()
        feature, time = view.const(_FEATURE, "weights"), view.const(_TIME, "weights")
        rank = self._attrs(view).rank
        geometry = (
            ("batches", x.shape[0]),
            ("inputs", feature.shape[1]),
            ("units", feature.shape[0] // rank),
            ("rank", rank),
            ("memory", time.shape[1]),
        )
        bias = view.optional(_BIAS)
        operands: tuple[Arg, ...] = (
            Input(_X),
            Const("feature", feature.reshape(-1)),
            Const("time", time.reshape(-1)),
        )
        if x.dtype is DType.FLOAT32:
            low, high = FLOAT_ACTIVATION_RANGE[self._attrs(view).activation]
            limits = (("act_min", low), ("act_max", high))
            params = Params("ep_svdf_f32_params", (*geometry, *limits))
            added: Arg = Null("float") if bias is None else Input(_BIAS)
            operands += (added,)
        else:
            scales = self._scales(view)
            params = Params(
                "ep_svdf_params",
                (
                    *geometry,
                    ("state_offset", state.zero_point),
                    ("output_offset", out.zero_point),
                    ("feature_multiplier", scales.feature.value),
                    ("feature_shift", scales.feature.shift),
                    ("time_multiplier", scales.time.value),
                    ("time_shift", scales.time.shift),
                ),
            )
            operands += self._folded(view)
        return KernelCall(
            f"ep_svdf_{x.dtype.suffix}" + ("_16" if state.dtype is DType.INT16 else ""),
            "ep_svdf.h",
            (params, *operands, State(_STATE), Output(0)),
            macs=self.macs(view),
            reason="portable C99; zero points folded into the biases",
        )

    def _folded(self, view: NodeView) -> tuple[Arg, ...]:
        """What the zero points of input and state contribute, per filter and per unit."""
        feature = view.const(_FEATURE, "weights").astype(np.int64)
        time = view.const(_TIME, "weights").astype(np.int64)
        rank, bias = self._attrs(view).rank, view.optional(_BIAS)
        start = -view.input(_X).zero_point * feature.sum(axis=1)
        total = -view.input(_STATE).zero_point * time.sum(axis=1).reshape(-1, rank).sum(axis=1)
        if bias is not None and bias.data is not None:
            total = total + bias.data.reshape(-1)
        return (
            Const("feature_bias", wrap_int32(start).astype(np.int32)),
            Const("bias", wrap_int32(total).astype(np.int32)),
        )

    def _scales(self, view: NodeView) -> _Scales:
        """In float64, as TFLM's interpreter computes them."""
        x, feature, time, state = (view.input(i).scale for i in (_X, _FEATURE, _TIME, _STATE))
        return _Scales(
            quantize_multiplier(x * feature / state),
            quantize_multiplier(state * time / view.output().scale),
        )

    def _attrs(self, view: NodeView) -> SvdfAttributes:
        assert isinstance(view.node.attrs, SvdfAttributes)
        return view.node.attrs
