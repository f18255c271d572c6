"""Constants of operators with state: LSTM and SVDF, as their integer kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.quantize.float_lstm import SLOTS as LSTM_SLOTS
from edgepack.quantize.params import INT8_WEIGHTS, QParams, store_weights, weight_scales
from edgepack.quantize.svdf import SVDF_SLOTS, time_scale
from edgepack.types import DType

if TYPE_CHECKING:
    from edgepack.quantize.apply import Applier

_LSTM_INPUTS = 24  # with those of layer normalization


def apply_lstm(owner: Applier, g: int, position: int, operator: Any, inputs: list[int]) -> None:
    """Weights per tensor; biases on the scale of input x weights (TFLite's integer LSTM)."""
    graph = owner.model.subgraphs[g]
    source = owner.plan.slots[g, position, 0]
    assert source is not None
    for weights, recurrent, bias in zip(
        LSTM_SLOTS.weights, LSTM_SLOTS.recurrent, LSTM_SLOTS.bias, strict=True
    ):
        scale = np.ones(1, np.float32)
        for slot in (recurrent, weights):
            value = owner.editor.constant(graph, inputs[slot])
            assert value is not None
            scale = weight_scales(value, INT8_WEIGHTS, None)
            stored = store_weights(value, scale, INT8_WEIGHTS, None)
            inputs[slot] = owner.constant(g, inputs[slot], stored, DType.INT8, scale, 0, "weights")
        units = owner.editor.shape(graph, inputs[weights])[0]
        found = owner.editor.constant(graph, inputs[bias]) if inputs[bias] >= 0 else None
        tensor = inputs[bias] if inputs[bias] >= 0 else inputs[weights]
        wide = source.dtype is DType.INT16
        inputs[bias] = owner.bias(
            g,
            tensor,
            np.zeros(units, np.float32) if found is None else found,
            np.float32(source.scale) * scale,
            wide,
        )
    operator.intermediates = np.array(_intermediates(owner, graph, position, inputs), np.int32)
    inputs += [-1] * (_LSTM_INPUTS - len(inputs))  # TFLM counts them


def apply_svdf(owner: Applier, g: int, position: int, operator: Any, inputs: list[int]) -> None:
    """Feature weights int8, those over time int16, each with one scale; the bias int32."""
    graph = owner.model.subgraphs[g]
    feature, time = (
        owner.editor.constant(graph, inputs[slot]) for slot in (SVDF_SLOTS.feature, SVDF_SLOTS.time)
    )
    if feature is None or time is None:
        name = owner.plan.names[g, position][1]
        raise UnsupportedError(
            f"SVDF {name!r}: its weights are computed, which no integer kernel takes"
        )
    scale = weight_scales(feature, INT8_WEIGHTS, None)
    stored = store_weights(feature, scale, INT8_WEIGHTS, None)
    inputs[SVDF_SLOTS.feature] = owner.constant(
        g, inputs[SVDF_SLOTS.feature], stored, DType.INT8, scale, 0, "feature"
    )
    steps = QParams(DType.INT16, float(time_scale(time, int(operator.builtinOptions.rank))), 0)
    inputs[SVDF_SLOTS.time] = owner.constant(
        g, inputs[SVDF_SLOTS.time], steps.store(time), DType.INT16, [steps.scale], 0, steps
    )
    state = owner.plan.tensors[g, inputs[SVDF_SLOTS.state]]
    assert state is not None
    like = inputs[SVDF_SLOTS.bias]
    bias = owner.editor.constant(graph, like) if like >= 0 else None
    if bias is None:  # TFLite Micro's kernel needs one
        bias = np.zeros(len(feature) // int(operator.builtinOptions.rank), np.float32)
        like = inputs[SVDF_SLOTS.feature]
    factor = np.float32(state.scale) * np.array([steps.scale], np.float32)
    inputs[SVDF_SLOTS.bias] = owner.bias(g, like, bias, factor, False)


def _intermediates(owner: Applier, graph: Any, position: int, inputs: list[int]) -> list[int]:
    """The five tensors that LiteRT wants described; a plain LSTM uses the scale of the last."""
    from ai_edge_litert import schema_py_generated as schema

    g = next(i for i, other in enumerate(owner.model.subgraphs) if other is graph)
    hidden = owner.plan.tensors[g, inputs[LSTM_SLOTS.hidden]]
    made = []
    gate = QParams(DType.INT16, 2.0**-12, 0)  # Q3.12, which sigmoid and tanh read
    for number, params in enumerate((gate, gate, gate, gate, hidden)):
        raw = schema.TensorT()
        raw.shape = np.zeros(1, np.int32)  # no elements: TFLM demands it
        raw.buffer = 0
        raw.name = f"lstm_{g}_{position}_intermediate_{number}".encode()
        raw.hasRank = True
        owner.set_params(raw, params)
        graph.tensors.append(raw)
        made.append(len(graph.tensors) - 1)
    return made
