"""FULLY_CONNECTED: inputs [..., in] times weights [out, in], optional bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.dense_dsp import lower_dense_dsp
from edgepack.ops.shared.dense_mul import lower_dense_mul
from edgepack.ops.shared.dense_mve import lower_dense_mve
from edgepack.ops.shared.fixed_point import (
    FLOAT_ACTIVATION_RANGE,
    activation_range,
    float_activation,
)
from edgepack.ops.shared.kernel import Arg, Input, Isa, KernelCall, Lowered, Null, Output, Params
from edgepack.ops.shared.mul import uses_mul
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.requant import (
    ChannelMultipliers,
    channel_multipliers,
    one_multiplier,
    tensor_multiplier,
)
from edgepack.ops.shared.sparse import offer_sparse_dense
from edgepack.ops.shared.weighted import (
    DEFAULT_SLOTS,
    bias_operand,
    check_bias,
    check_operand_types,
    check_shifts,
    check_weights,
    lower_weighted,
    requantize_output,
)
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape

_DYNAMIC_WEIGHTS = {
    DType.INT8: (DType.INT8,),
    DType.INT16: (),
    DType.FLOAT32: (DType.FLOAT32,),
}


@dataclass(frozen=True)
class FullyConnectedAttributes(Attributes):
    """The fused activation, the output's rank, and whether weights are stored in blocks."""

    activation: str = "NONE"
    keep_num_dims: bool = False
    bias_dtype: DType = DType.INT64
    shuffled: bool = False


class FullyConnected(Op):
    """Matrix product with TFLM's double rounding (LiteRT's reference kernel rounds once)."""

    name = "FULLY_CONNECTED"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (2, 3)
    variants = ("mul", "dsp", "mve")
    notes = (
        "int8 or packed (per-tensor) int4 weights; int8 and float weights may be computed at run "
        "time"
    )

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return FullyConnectedAttributes()
        return FullyConnectedAttributes(
            activation=ACTIVATIONS[options.fusedActivationFunction],
            keep_num_dims=bool(options.keepNumDims),
            bias_dtype=DType.INT32 if options.quantizedBiasType == 2 else DType.INT64,
            shuffled=options.weightsFormat != 0,
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, w = view.input(0), view.input(1)
        if len(w.shape) != 2 or w.shape[1] == 0 or x.elements % w.shape[1]:
            raise unsupported(view, "weights must be [out, in] and divide the input's elements")
        if self._attrs(view).activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(
                view, f"no kernel with fused activation {self._attrs(view).activation}"
            )
        if self._attrs(view).shuffled:
            raise unsupported(view, "weights in the shuffled 4x16 format")
        if self._dynamic(view):
            self._check_dynamic(view)
            return
        check_weights(view, w.shape[0])
        if w.dtype is DType.INT4 and w.quant is not None and w.quant.per_channel:
            raise unsupported(view, "per-channel int4 weights (TFLM has per-tensor only)")

    def _dynamic(self, view: NodeView) -> bool:
        """Whether the weights are computed at run time or have a zero point."""
        w = view.input(1)
        if w.data is None:
            return True
        return w.dtype is DType.INT8 and w.quant is not None and any(w.quant.zero_point)

    def _check_dynamic(self, view: NodeView) -> None:
        x, w = view.input(0), view.input(1)
        check_operand_types(view, DEFAULT_SLOTS, _DYNAMIC_WEIGHTS)
        check_bias(view, w.shape[0])
        if x.dtype is not DType.FLOAT32:
            check_quantized(view, x, w, view.output())
            check_shifts(view, self._multipliers(view))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        x, w, recorded = view.input(0), view.input(1), view.output().shape
        if self._attrs(view).keep_num_dims:
            return ((*x.shape[:-1], w.shape[0]),)
        rows = x.elements // w.shape[1]
        # TFLM takes the rows from the recorded output, whatever its rank.
        if recorded[-1:] == (w.shape[0],) and view.output().elements == rows * w.shape[0]:
            return (recorded,)
        return ((rows, w.shape[0]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, w, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None and w is not None
        out, attrs = view.output(), self._attrs(view)
        rows = x.reshape(-1, w.shape[1])
        if out.dtype is DType.FLOAT32:
            acc = rows @ w.T
            if bias is not None:
                acc = acc + bias
            return (ensure_shape(float_activation(acc, attrs.activation), out),)
        weights = w.T.astype(np.int64) - view.input(1).zero_point
        acc = (rows.astype(np.int64) - view.input(0).zero_point) @ weights
        if bias is not None:
            acc = acc + bias.astype(np.int64)
        result = requantize_output(view, acc, attrs.activation, self._multipliers(view))
        return (ensure_shape(result, out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, w, activation = view.input(0), view.input(1), self._attrs(view).activation
        shape = (
            ("batches", x.elements // w.shape[1]),
            ("in_n", w.shape[1]),
            ("out_n", w.shape[0]),
        )
        if self._dynamic(view):
            return self._lower_dynamic(view, shape)
        if x.dtype is DType.FLOAT32:
            return lower_weighted(view, "ep_fully_connected", activation, shape, self.macs(view))
        multipliers = self._multipliers(view)
        plain = self._plain(view, isa, shape, multipliers)
        return offer_sparse_dense(view, plain, multipliers, activation, isa)

    def _plain(
        self,
        view: NodeView,
        isa: Isa,
        shape: tuple[tuple[str, int], ...],
        multipliers: ChannelMultipliers,
    ) -> KernelCall:
        """The fastest call that stores every weight."""
        activation, macs = self._attrs(view).activation, self.macs(view)
        fast = None
        if isa.has("mve"):
            fast = lower_dense_mve(view, multipliers, activation, macs)
        if fast is None and isa.has("dsp"):
            fast = lower_dense_dsp(view, multipliers, activation, macs, isa)
        if fast is None and uses_mul(isa):
            fast = lower_dense_mul(view, multipliers, activation, macs, isa)
        step = ("scale_step", 1 if multipliers.value.size > 1 else 0)
        return fast or lower_weighted(
            view,
            "ep_fully_connected",
            activation,
            (*shape, step),
            macs,
            multipliers=multipliers,
        )

    def _lower_dynamic(self, view: NodeView, shape: tuple[tuple[str, int], ...]) -> Lowered:
        x, w, out = view.input(0), view.input(1), view.output()
        activation = self._attrs(view).activation
        is_float = x.dtype is DType.FLOAT32
        if is_float:
            limits = FLOAT_ACTIVATION_RANGE[activation]
            ends = (("act_min", limits[0]), ("act_max", limits[1]))
            params = Params("ep_fully_connected_f32_params", (*shape, *ends))
        else:
            low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
            multiplier = tensor_multiplier(x, w, out)
            params = Params(
                "ep_fully_connected_dynamic_params",
                (
                    *shape,
                    ("input_offset", -x.zero_point),
                    ("weights_offset", -w.zero_point),
                    ("output_offset", out.zero_point),
                    ("multiplier", multiplier.value),
                    ("shift", multiplier.shift),
                    ("act_min", low),
                    ("act_max", high),
                ),
            )
        no_bias = Null("float" if is_float else "int32_t")
        bias: Arg = no_bias if view.optional(2) is None else bias_operand(view)
        return KernelCall(
            "ep_fully_connected_f32" if is_float else "ep_fully_connected_s8_dynamic",
            "ep_fully_connected.h",
            (params, Input(0), Input(1), bias, Output(0)),
            macs=self.macs(view),
            reason="weights computed at run time or with a zero point",
        )

    def macs(self, view: NodeView) -> int:
        return view.input(0).elements * view.input(1).shape[0]

    def _attrs(self, view: NodeView) -> FullyConnectedAttributes:
        assert isinstance(view.node.attrs, FullyConnectedAttributes)
        return view.node.attrs

    def _multipliers(self, view: NodeView) -> ChannelMultipliers:
        x, w, out = view.input(0), view.input(1), view.output()
        assert w.quant is not None
        if w.quant.per_channel:
            return channel_multipliers(x, w, out, w.shape[0])
        return one_multiplier(tensor_multiplier(x, w, out))
