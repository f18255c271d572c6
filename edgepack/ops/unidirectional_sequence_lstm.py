"""UNIDIRECTIONAL_SEQUENCE_LSTM: the plain LSTM of Keras over a whole sequence, fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import ABSENT, Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.lstm import (
    BIAS,
    CELL,
    GATES,
    HIDDEN,
    LAYER_NORM,
    PEEPHOLE,
    PROJECTION,
    RECURRENT_WEIGHTS,
    WEIGHTS,
    LstmSizes,
    cell_power,
    gate_multipliers,
    lower_lstm,
    step_float,
    step_integer,
)
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape

_WEIGHT_TYPES = {DType.INT8: DType.INT8, DType.INT16: DType.INT8, DType.FLOAT32: DType.FLOAT32}
_BIAS_TYPES = {DType.INT8: DType.INT32, DType.INT16: DType.INT64, DType.FLOAT32: DType.FLOAT32}
_CELL_TYPES = {DType.INT8: DType.INT16, DType.INT16: DType.INT16, DType.FLOAT32: DType.FLOAT32}
_LARGEST_CELL_POWER = 2  # beyond, TFLM's tanh of the cell state overflows 32 bits
_MAX_SHIFT_64 = 7  # of firmware's ep_requantize64


@dataclass(frozen=True)
class LstmAttributes(Attributes):
    """cell_clip: limit of the cell state, 0 for none; time_major: x is [time, batch, inputs]."""

    activation: str = "TANH"
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    time_major: bool = False


class UnidirectionalSequenceLstm(Op):
    """x [batch, time, inputs], output [batch, time, units]; hidden and cell state are variables."""

    name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (24, 24)
    notes = (
        "the LSTM of Keras, INT8 and INT16 with INT16 cell state; without coupled gates (CIFG), "
        "peephole, projection and layer normalization, as TFLM; state carries over from one "
        "inference to the next, until init"
    )

    def attributes(self, options: Any) -> Attributes:
        return LstmAttributes(
            ACTIVATIONS[options.fusedActivationFunction],
            float(options.cellClip),
            float(options.projClip),
            bool(options.timeMajor),
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        for slots, what in (
            (PEEPHOLE, "peephole connections"),
            (PROJECTION, "a projection"),
            (LAYER_NORM, "layer normalization"),
        ):
            if any(view.node.inputs[slot] != ABSENT for slot in slots):
                raise unsupported(view, f"{what}, which TFLM does not run either")
        if view.node.inputs[WEIGHTS[1]] == ABSENT:
            raise unsupported(view, "coupled input and forget gates (CIFG), which TFLM lacks too")
        if self._attrs(view).activation != "TANH":
            raise unsupported(view, f"activation {self._attrs(view).activation}, allowed is TANH")
        self._check_types(view)
        self._check_shapes(view)
        if view.input(0).dtype is not DType.FLOAT32:
            self._check_scales(view)

    def _check_types(self, view: NodeView) -> None:
        x, hidden, cell = view.input(0), view.input(HIDDEN), view.input(CELL)
        if not (hidden.is_variable and cell.is_variable):
            raise unsupported(view, "its hidden and cell state are not variable tensors")
        if hidden.dtype is not x.dtype or view.output().dtype is not x.dtype:
            raise unsupported(view, f"{x.dtype.value} input with another hidden state or output")
        if cell.dtype is not _CELL_TYPES[x.dtype]:
            raise unsupported(view, f"{x.dtype.value} input with {cell.dtype.value} cell state")
        for slots, allowed, what in (
            (WEIGHTS + RECURRENT_WEIGHTS, _WEIGHT_TYPES[x.dtype], "weights"),
            (BIAS, _BIAS_TYPES[x.dtype], "bias"),
        ):
            for slot in slots:
                view.const(slot, what)
                if view.input(slot).dtype is not allowed:
                    got = view.input(slot).dtype.value
                    raise unsupported(
                        view, f"{x.dtype.value} input with {got} {what}, allowed {allowed.value}"
                    )

    def _check_shapes(self, view: NodeView) -> None:
        if len(view.input(0).shape) != 3:
            raise unsupported(view, f"its input has rank {len(view.input(0).shape)}, allowed is 3")
        sizes = self._sizes(view)
        wanted = (
            [(slot, (sizes.units, sizes.inputs)) for slot in WEIGHTS]
            + [(slot, (sizes.units, sizes.units)) for slot in RECURRENT_WEIGHTS]
            + [(slot, (sizes.units,)) for slot in BIAS]
        )
        for slot, shape in wanted:
            if view.input(slot).shape != shape:
                raise unsupported(view, f"input {slot} should be {list(shape)}")
        for slot in (HIDDEN, CELL):
            if view.input(slot).elements != sizes.batches * sizes.units:
                raise unsupported(view, f"input {slot} should hold {sizes.units} per batch")

    def _check_scales(self, view: NodeView) -> None:
        weights = [view.input(slot) for slot in WEIGHTS + RECURRENT_WEIGHTS]
        check_quantized(view, view.input(0), view.input(HIDDEN), view.input(CELL), *weights)
        if any(w.zero_point for w in weights):
            raise unsupported(view, "weights with a zero point other than 0")
        if cell_power(view) > _LARGEST_CELL_POWER:
            raise unsupported(view, f"cell state scale {view.input(CELL).scale}, allowed up to 4")
        if view.input(0).dtype is DType.INT16:
            shifts = [m.shift for pair in gate_multipliers(view) for m in pair]
            if max(shifts) > _MAX_SHIFT_64:
                raise unsupported(view, "scales of weights that are too large for INT16")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        x = view.input(0).shape
        return ((*x[:2], view.input(WEIGHTS[0]).shape[0]),)

    def macs(self, view: NodeView) -> int:
        sizes = self._sizes(view)
        per_step = GATES * sizes.units * (sizes.inputs + sizes.units)
        return sizes.batches * sizes.steps * per_step

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, hidden, cell = inputs[0], inputs[HIDDEN], inputs[CELL]
        assert x is not None and hidden is not None and cell is not None
        sizes = self._sizes(view)
        sequence = x if sizes.time_major else x.swapaxes(0, 1)
        h, c = hidden.reshape(sizes.batches, -1), cell.reshape(sizes.batches, -1)
        step = step_float if x.dtype == np.float32 else step_integer
        outputs = []
        for values in sequence:
            new_h, new_c = step(view, values, h, c, self._attrs(view).cell_clip)
            h[...], c[...] = new_h, new_c
            outputs.append(h.copy())
        result = np.stack(outputs)
        return (ensure_shape(result if sizes.time_major else result.swapaxes(0, 1), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_lstm(view, self._sizes(view), self._attrs(view).cell_clip, self.macs(view))

    def _attrs(self, view: NodeView) -> LstmAttributes:
        assert isinstance(view.node.attrs, LstmAttributes)
        return view.node.attrs

    def _sizes(self, view: NodeView) -> LstmSizes:
        x, time_major = view.input(0).shape, self._attrs(view).time_major
        batches, steps = (x[1], x[0]) if time_major else (x[0], x[1])
        return LstmSizes(batches, steps, x[2], view.input(WEIGHTS[0]).shape[0], time_major)
