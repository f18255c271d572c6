"""The arithmetic of a plain LSTM as TFLM computes it, and the call of its kernel.

Gates come in the order forget, input, cell, output. In integers a gate is the saturated sum of two
dense layers in Q3.12, sigmoid and tanh are TFLite's 16-bit tables, and gates are Q0.15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ir import Tensor
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
    requantize_int64,
    wrap_int32,
)
from edgepack.ops.shared.float_math import in_double
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    KernelCall,
    Output,
    Params,
    Scratch,
    State,
)
from edgepack.ops.shared.sigmoid import (
    InputScale,
    logistic_q15,
    sigmoid_table,
    tanh_q15,
)
from edgepack.types import Array, DType

# Input slots of UNIDIRECTIONAL_SEQUENCE_LSTM, in the order of the gates.
WEIGHTS = (2, 1, 3, 4)
RECURRENT_WEIGHTS = (6, 5, 7, 8)
BIAS = (13, 12, 14, 15)
PEEPHOLE = (9, 10, 11)
PROJECTION = (16, 17)
LAYER_NORM = (20, 21, 22, 23)
HIDDEN, CELL = 18, 19
GATES = 4

_GATE_SCALE = 2.0**-12  # Q3.12, what sigmoid and tanh read
_UNIT_SCALE = 2.0**-15  # Q0.15, what they give
_GATE_INPUT = InputScale(3, 0)  # Q3.12 to the tables' units
_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LstmSizes:
    """x is [steps, batches, inputs] if time_major, else [batches, steps, inputs]."""

    batches: int
    steps: int
    inputs: int
    units: int
    time_major: bool


@dataclass(frozen=True)
class _Products:
    """Multipliers of forget gate * cell, input gate * cell gate, and tanh(cell) * output gate."""

    forget: Multiplier
    update: Multiplier
    hidden: Multiplier


def gate_multipliers(view: NodeView) -> list[tuple[Multiplier, Multiplier]]:
    """Per gate the factors of the input's and the hidden state's sums to Q3.12."""

    def factor(source: Tensor, slot: int) -> Multiplier:
        return quantize_multiplier(source.scale * view.input(slot).scale / _GATE_SCALE)

    return [
        (factor(view.input(0), w), factor(view.input(HIDDEN), r))
        for w, r in zip(WEIGHTS, RECURRENT_WEIGHTS, strict=True)
    ]


def cell_power(view: NodeView) -> int:
    """The cell state's scale as a rounded power of two, as TFLM reads it."""
    log2 = np.log(np.float32(view.input(CELL).scale)) * (np.float32(1) / np.log(np.float32(2)))
    return int(math.floor(abs(float(log2)) + 0.5)) * (-1 if log2 < 0 else 1)


def cell_tanh_input(view: NodeView) -> InputScale:
    """The cell state to the units of the tanh table."""
    shift = 12 + cell_power(view)
    return InputScale(3, -shift) if shift < 0 else InputScale(3 << shift, 0)


def _products(view: NodeView) -> _Products:
    cell, hidden = view.input(CELL).scale, view.input(HIDDEN).scale
    return _Products(
        quantize_multiplier(_UNIT_SCALE * cell / cell),
        quantize_multiplier(_UNIT_SCALE * _UNIT_SCALE / cell),
        quantize_multiplier(_UNIT_SCALE * _UNIT_SCALE / hidden),
    )


def quantized_clip(view: NodeView, clip: float) -> int:
    """The limit of an integer cell state; 0 for none."""
    if clip <= 0:
        return 0
    return int(min(max(float(np.float32(clip)) / view.input(CELL).scale, -32768.0), 32767.0))


def _saturate(x: Array, dtype: DType = DType.INT16) -> _I64:
    return np.asarray(np.clip(x, *INTEGER_RANGE[dtype]), np.int64)


def step_integer(
    view: NodeView, x: Array, hidden: Array, cell: Array, clip: float
) -> tuple[Array, Array]:
    """The hidden and cell state after one step.

    Args:
        x, hidden, cell: [batches, inputs], [batches, units], [batches, units].
    """
    wide = view.input(0).dtype is DType.INT16

    def dense(values: Array, source: Tensor, slot: int, bias: Array | int, m: Multiplier) -> _I64:
        weights = view.const(slot, "weights").astype(np.int64)
        acc = (values.astype(np.int64) - source.zero_point) @ weights.T + bias
        if wide:
            return _saturate(requantize_int64(acc, m.value, m.shift))
        return _saturate(requantize(wrap_int32(acc), m.value, m.shift))

    sums = []
    for gate, (of_input, of_hidden) in enumerate(gate_multipliers(view)):
        bias = view.const(BIAS[gate], "bias").astype(np.int64)
        first = dense(x, view.input(0), WEIGHTS[gate], bias, of_input)
        second = dense(hidden, view.input(HIDDEN), RECURRENT_WEIGHTS[gate], 0, of_hidden)
        sums.append(_saturate(first + second))
    forget, update, output = (logistic_q15(_GATE_INPUT.apply(sums[i])) for i in (0, 1, 3))
    candidate = tanh_q15(_GATE_INPUT.apply(sums[2]))
    products = _products(view)

    def product(a: Array, b: Array, m: Multiplier, dtype: DType, offset: int = 0) -> _I64:
        scaled = requantize(a.astype(np.int64) * b.astype(np.int64), m.value, m.shift)
        return _saturate(scaled + offset, dtype)

    kept = product(forget, cell, products.forget, DType.INT16)
    new_cell = _saturate(kept + product(update, candidate, products.update, DType.INT16))
    limit = quantized_clip(view, clip)
    if limit:
        new_cell = np.clip(new_cell, -limit, limit)
    squashed = tanh_q15(cell_tanh_input(view).apply(new_cell))
    state = view.input(HIDDEN)
    new_hidden = product(squashed, output, products.hidden, state.dtype, state.zero_point)
    return new_hidden, new_cell


def step_float(
    view: NodeView, x: Array, hidden: Array, cell: Array, clip: float
) -> tuple[Array, Array]:
    """The same in float32."""
    sigmoid, tanh = in_double(lambda v: 1 / (1 + np.exp(-v))), in_double(np.tanh)
    sums = [
        x @ view.const(WEIGHTS[gate], "weights").T
        + view.const(BIAS[gate], "bias")
        + hidden @ view.const(RECURRENT_WEIGHTS[gate], "weights").T
        for gate in range(GATES)
    ]
    new_cell = sigmoid(sums[0]) * cell + sigmoid(sums[1]) * tanh(sums[2])
    if clip > 0:
        new_cell = np.clip(new_cell, np.float32(-clip), np.float32(clip))
    return sigmoid(sums[3]) * tanh(new_cell), new_cell


def lower_lstm(view: NodeView, sizes: LstmSizes, clip: float, macs: int) -> KernelCall:
    """All steps in one call; the gates of one step are its scratch memory."""
    x = view.input(0)
    strides = (sizes.inputs, sizes.batches * sizes.inputs)
    batch, step = strides if sizes.time_major else (sizes.steps * sizes.inputs, sizes.inputs)
    out_batch, out_step = (
        (sizes.units, sizes.batches * sizes.units)
        if sizes.time_major
        else (sizes.steps * sizes.units, sizes.units)
    )
    geometry = (
        ("batches", sizes.batches),
        ("steps", sizes.steps),
        ("inputs", sizes.inputs),
        ("units", sizes.units),
        ("in_batch", batch),
        ("in_step", step),
        ("out_batch", out_batch),
        ("out_step", out_step),
    )
    weights, recurrent = _stacked(view, WEIGHTS), _stacked(view, RECURRENT_WEIGHTS)
    consts = (
        Const("weights", weights.reshape(-1)),
        Const("recurrent", recurrent.reshape(-1)),
    )
    if x.dtype is DType.FLOAT32:
        params = Params("ep_lstm_f32_params", (*geometry, ("clip", float(clip))))
        biases: tuple[Const, ...] = (Const("bias", _stacked(view, BIAS).reshape(-1)),)
        tables: tuple[Const, ...] = ()
        item = 4
    else:
        params = Params("ep_lstm_params", (*geometry, *_integer_fields(view, clip)))
        biases = _folded(view, weights, recurrent)
        tables = (Const("sigmoid", sigmoid_table(), role="tables"),)
        item = 2
    return KernelCall(
        f"ep_lstm_{x.dtype.suffix}",
        "ep_lstm.h",
        (
            params,
            Input(0),
            *consts,
            *biases,
            *tables,
            State(HIDDEN),
            State(CELL),
            Scratch("float" if item == 4 else "int16_t"),
            Output(0),
        ),
        scratch_bytes=GATES * sizes.units * item,
        macs=macs,
        fallible=False,
        reason="portable C99; weights of the four gates side by side",
    )


def _stacked(view: NodeView, slots: tuple[int, ...]) -> Array:
    return np.concatenate([view.const(slot, "weights") for slot in slots])


def _folded(view: NodeView, weights: Array, recurrent: Array) -> tuple[Const, Const]:
    """Biases of both dense layers with what the zero points contribute, [4 * units]."""
    own = _stacked(view, BIAS).astype(np.int64)
    first = own - view.input(0).zero_point * weights.astype(np.int64).sum(axis=1)
    second = -view.input(HIDDEN).zero_point * recurrent.astype(np.int64).sum(axis=1)
    if view.input(0).dtype is DType.INT8:
        first, second = wrap_int32(first).astype(np.int32), wrap_int32(second).astype(np.int32)
    return Const("bias", first, align=8), Const("recurrent_bias", second, align=8)


def _integer_fields(view: NodeView, clip: float) -> tuple[tuple[str, int | tuple[int, ...]], ...]:
    gates, products = gate_multipliers(view), _products(view)
    squash = cell_tanh_input(view)
    return (
        ("multiplier", tuple(m.value for m, _ in gates)),
        ("shift", tuple(m.shift for m, _ in gates)),
        ("recurrent_multiplier", tuple(m.value for _, m in gates)),
        ("recurrent_shift", tuple(m.shift for _, m in gates)),
        ("forget_multiplier", products.forget.value),
        ("forget_shift", products.forget.shift),
        ("update_multiplier", products.update.value),
        ("update_shift", products.update.shift),
        ("hidden_multiplier", products.hidden.value),
        ("hidden_shift", products.hidden.shift),
        ("hidden_offset", view.input(HIDDEN).zero_point),
        ("squash.count", view.output().shape[2]),
        ("squash.multiplier", squash.multiplier),
        ("squash.shift", squash.shift),
        ("gate.count", view.output().shape[2]),
        ("gate.multiplier", _GATE_INPUT.multiplier),
        ("gate.shift", _GATE_INPUT.shift),
        ("clip", quantized_clip(view, clip)),
    )
