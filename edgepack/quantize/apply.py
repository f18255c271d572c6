"""A float model and a plan -> the quantized model."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor
from edgepack.ops.shared.int4 import pack_int4
from edgepack.quantize.apply_recurrent import apply_lstm, apply_svdf
from edgepack.quantize.finish import drop_unused, set_versions
from edgepack.quantize.layers import Adjustments, Layer, layer_at
from edgepack.quantize.params import (
    QParams,
    activation_params,
)
from edgepack.quantize.plan import OpKey, Params, Plan
from edgepack.quantize.policy import WEIGHTED, Weighted, few_outputs
from edgepack.quantize.schemes import OpScheme
from edgepack.quantize.svdf import SVDF_OP
from edgepack.types import Array, DType

_RELU_N1_TO_1 = 2  # of ActivationFunctionType in TFLite's schema


def apply_plan(
    model: Any, plan: Plan, io: DType | None, adjustments: Adjustments | None = None
) -> None:
    """Change a float model into what the plan says.

    Args:
        model: the model (`ModelT`), changed in place.
        plan: for this model.
        io: element type of the model's inputs and outputs where they were float; None takes what
            the operators inside have.
        adjustments: weights and biases that are not just rounded to the nearest.
    """
    Applier(model, plan, adjustments or Adjustments()).run(io)


class Applier:
    """A plan being carried out on a model."""

    def __init__(self, model: Any, plan: Plan, adjustments: Adjustments) -> None:
        self.model, self.plan = model, plan
        self.editor = Editor(model)
        self.adjustments = adjustments
        self.constants: dict[tuple[Any, ...], int] = {}
        self.converted: dict[tuple[int, int, Params], int] = {}
        self.before: dict[tuple[int, int], list[Any]] = {}
        self.floats: dict[tuple[int, int], bool] = {
            (g, t): self.editor.is_float(graph, t)
            for g, graph in enumerate(model.subgraphs)
            for t in range(len(graph.tensors))
        }

    def run(self, io: DType | None) -> None:
        operators = [list(graph.operators) for graph in self.model.subgraphs]
        for (g, position), scheme in self.plan.schemes.items():
            self._operator(g, position, operators[g][position], scheme)
        ends: dict[int, list[Any]] = {}
        for (g, position), params in self.plan.results.items():
            if g != 0:
                self._result(g, position, params, ends.setdefault(g, []))
        for (g, tensor), params in self.plan.tensors.items():
            if params is not None:
                self.set_params(self.model.subgraphs[g].tensors[tensor], params)
        for g, listed in enumerate(operators):
            graph = self.model.subgraphs[g]
            graph.operators = [
                o
                for position, operator in enumerate(listed)
                for o in (*self.before.get((g, position), ()), operator)
            ] + ends.get(g, [])
        self._interface(io)
        self.editor.sweep()
        drop_unused(self.model)
        set_versions(self.editor)

    # -- operators ----------------------------------------------------------------------------

    def _operator(self, g: int, position: int, operator: Any, scheme: OpScheme) -> None:
        graph = self.model.subgraphs[g]
        op = self.plan.names[g, position][0]
        inputs = [int(i) for i in operator.inputs]
        if op == "UNIDIRECTIONAL_SEQUENCE_LSTM" and not scheme.is_float:
            apply_lstm(self, g, position, operator, inputs)
        elif op == SVDF_OP and not scheme.is_float:
            apply_svdf(self, g, position, operator, inputs)
        elif not scheme.is_float:
            self._weights(g, position, op, inputs, scheme)
        for slot, tensor in enumerate(inputs):
            if (g, position, slot) in self.plan.slots:
                wanted = self.plan.slots[g, position, slot]
                inputs[slot] = self._read(g, position, tensor, wanted)
        operator.inputs = np.array(inputs, np.int32)
        if not scheme.is_float and op in ("ADD", "SUB") and operator.builtinOptions is not None:
            operator.builtinOptions.potScaleInt16 = False
        if op == "FULLY_CONNECTED" and scheme.activation is DType.INT16:
            from ai_edge_litert import schema_py_generated as schema

            operator.builtinOptions.quantizedBiasType = schema.TensorType.INT64
        assert graph is self.model.subgraphs[g]

    def _read(self, g: int, position: int, tensor: int, wanted: Params) -> int:
        """The tensor that holds what an operator wants to read."""
        graph = self.model.subgraphs[g]
        if (g, tensor) not in self.plan.tensors:
            value = self.editor.constant(graph, tensor)
            if value is None or wanted is None:
                return tensor
            stored = wanted.store(value)
            return self.constant(g, tensor, stored, wanted.dtype, [wanted.scale], 0, wanted)
        has = self.plan.tensors[g, tensor]
        if has == wanted:
            return tensor
        key = (g, tensor, wanted)
        if key not in self.converted:
            made, operator = self._conversion(graph, tensor, has, wanted)
            self.before.setdefault((g, position), []).append(operator)
            self.converted[key] = made
        return self.converted[key]

    def _conversion(self, graph: Any, tensor: int, has: Params, wanted: Params) -> tuple[int, Any]:
        """A new tensor and the operator that fills it from another."""
        suffix = "float" if wanted is None else wanted.dtype.value.lower()
        name = f"{self.editor.tensor_name(graph, tensor)}_{suffix}"
        made = self.editor.add_tensor(graph, self.editor.shape(graph, tensor), tensor, name)
        graph.tensors[made].shapeSignature = graph.tensors[tensor].shapeSignature
        self.set_params(graph.tensors[made], wanted)
        op = "DEQUANTIZE" if wanted is None else "QUANTIZE"
        return made, self.editor.operator(op, [tensor], [made])

    def _weights(self, g: int, position: int, op: str, inputs: list[int], scheme: OpScheme) -> None:
        slots = WEIGHTED.get(op)
        if slots is None:
            return
        key = (g, position)
        layer = layer_at(self.editor, self.plan, key)
        if layer is not None and few_outputs(op, scheme) is not None:
            options = self.model.subgraphs[g].operators[position].builtinOptions
            options.fusedActivationFunction = _RELU_N1_TO_1
        if layer is not None and layer.magnitudes is not None:
            self._signs(layer, inputs, slots)
            return
        source = self.plan.slots[g, position, slots.x]
        assert source is not None
        if layer is None:
            other = self.plan.slots[g, position, slots.weights]
            assert other is not None
            scales = np.array([other.scale], np.float32)
        else:
            scales = layer.scales
            given = self.adjustments.stored.get(key)
            unique: tuple[Any, ...] = (scales.tobytes(), None if given is None else given.tobytes())
            stored = layer.nearest() if given is None else given
            tensor = inputs[slots.weights]
            inputs[slots.weights] = self.constant(
                g, tensor, stored, layer.grid.dtype, scales, layer.axis or 0, unique
            )
        self._layer_bias(key, inputs, slots, source, scales, scheme)

    def _signs(self, layer: Layer, inputs: list[int], slots: Weighted) -> None:
        """A layer that stores the sign of its sums: int8 whose outputs all saturate."""
        g, like, bias = layer.key[0], inputs[slots.weights], layer.sign_bias()
        inputs[slots.weights] = self.constant(
            g, like, layer.nearest(), layer.grid.dtype, layer.scales, 0, ("signs", layer.key)
        )
        inputs += [-1] * (slots.bias + 1 - len(inputs))
        scale = np.float32(layer.source.scale) * layer.scales
        like = inputs[slots.bias] if inputs[slots.bias] >= 0 else like
        inputs[slots.bias] = self.constant(
            g, like, bias, DType.INT32, scale, 0, ("signs", layer.key)
        )

    def _layer_bias(
        self,
        key: OpKey,
        inputs: list[int],
        slots: Weighted,
        source: QParams,
        scales: Array,
        scheme: OpScheme,
    ) -> None:
        g = key[0]
        like = inputs[slots.bias] if slots.bias < len(inputs) else -1
        bias = self.adjustments.biases.get(key)
        if bias is None and like >= 0:
            bias = self.editor.constant(self.model.subgraphs[g], like)
        if bias is None:
            return
        wide = scheme.activation is DType.INT16
        factors = np.float32(source.scale) * scales
        made = self.bias(g, like if like >= 0 else inputs[slots.weights], bias, factors, wide)
        inputs += [-1] * (slots.bias + 1 - len(inputs))
        inputs[slots.bias] = made

    def bias(self, g: int, tensor: int, bias: Array, scales: Array, wide: bool) -> int:
        """A bias as a constant, named like `tensor`, of 64 bits where it is `wide`."""
        dtype = DType.INT64 if wide else DType.INT32
        limit = 2**39 if wide else 2**31 - 1
        stored = np.rint(bias.astype(np.float64) / scales.astype(np.float64)).clip(-limit, limit)
        values = stored.astype(dtype.numpy)
        return self.constant(
            g, tensor, values, dtype, scales, 0, (scales.tobytes(), values.tobytes())
        )

    def _result(self, g: int, position: int, params: Params, ends: list[Any]) -> None:
        """A subgraph's output, converted if need be."""
        graph = self.model.subgraphs[g]
        tensor = int(graph.outputs[position])
        if (g, tensor) not in self.plan.tensors:
            value = self.editor.constant(graph, tensor)
            if value is None or params is None:
                return
            made = self.constant(
                g, tensor, params.store(value), params.dtype, [params.scale], 0, params
            )
        else:
            has = self.plan.tensors[g, tensor]
            if has == params:
                return
            made, operator = self._conversion(graph, tensor, has, params)
            ends.append(operator)
        outputs = [int(i) for i in graph.outputs]
        outputs[position] = made
        graph.outputs = np.array(outputs, np.int32)

    # -- tensors ------------------------------------------------------------------------------

    def constant(
        self,
        g: int,
        like: int,
        stored: Array,
        dtype: DType,
        scales: Any,
        axis: int,
        unique: Any,
    ) -> int:
        """A constant tensor, shared by those who want the same one in the same form."""
        from ai_edge_litert import schema_py_generated as schema

        zero = unique.zero_point if isinstance(unique, QParams) else 0
        key = (g, like, dtype, unique)
        if key in self.constants:
            return self.constants[key]
        graph = self.model.subgraphs[g]
        raw = schema.TensorT()
        raw.shape = np.array(stored.shape, np.int32)
        raw.type = getattr(schema.TensorType, dtype.value)
        data = pack_int4(stored) if dtype is DType.INT4 else stored
        raw.buffer = self.editor.add_buffer(np.ascontiguousarray(data))
        raw.name = self.editor.tensor_name(graph, like).encode()
        raw.hasRank = True
        raw.quantization = _quantization(np.asarray(scales, np.float32), zero, axis)
        graph.tensors.append(raw)
        self.constants[key] = len(graph.tensors) - 1
        return self.constants[key]

    def set_params(self, raw: Any, params: Params) -> None:
        """Give a tensor its type and scale."""
        from ai_edge_litert import schema_py_generated as schema

        if params is None:
            raw.type, raw.quantization = schema.TensorType.FLOAT32, None
            return
        raw.type = getattr(schema.TensorType, params.dtype.value)
        raw.quantization = _quantization(np.array([params.scale], np.float32), params.zero_point, 0)

    # -- the model's ends ---------------------------------------------------------------------

    def _interface(self, io: DType | None) -> None:
        """Give inputs and outputs the type that the user wants; their tensors keep their places."""
        if io is None:
            return
        graph = self.model.subgraphs[0]
        first: list[Any] = []
        for tensor in dict.fromkeys(int(i) for i in graph.inputs):
            has = self.plan.tensors.get((0, tensor))
            if has is None:
                continue
            inner = self._retype(graph, tensor, has, io)
            if inner is not None:
                self._redirect(graph, tensor, inner)
                first.append(self.editor.operator("QUANTIZE", [tensor], [inner]))
        last = []
        for tensor in dict.fromkeys(int(i) for i in graph.outputs):
            has = self.plan.tensors.get((0, tensor))
            if (0, tensor) not in self.plan.tensors:
                continue
            inner = self._retype(graph, tensor, has, io)
            if inner is not None:
                for operator in (*first, *graph.operators):
                    made = [inner if int(i) == tensor else int(i) for i in operator.outputs]
                    operator.outputs = np.array(made, np.int32)
                    if operator not in first:
                        read = [inner if int(i) == tensor else int(i) for i in operator.inputs]
                        operator.inputs = np.array(read, np.int32)
                op = "DEQUANTIZE" if io is DType.FLOAT32 else "QUANTIZE"
                last.append(self.editor.operator(op, [inner], [tensor]))
        graph.operators = [*first, *graph.operators, *last]

    def _retype(self, graph: Any, tensor: int, has: Params, io: DType) -> int | None:
        """Make a tensor one of type `io`; a new one holds what it held. None where it fits."""
        if has is None or io is has.dtype:
            return None  # what only float operators touch stays float
        raw = graph.tensors[tensor]
        name = self.editor.tensor_name(graph, tensor)
        inner = self.editor.add_tensor(graph, self.editor.shape(graph, tensor), tensor, name)
        graph.tensors[inner].shapeSignature = raw.shapeSignature
        self.set_params(graph.tensors[inner], has)
        self.set_params(raw, _converted(has, io))
        return inner

    def _redirect(self, graph: Any, tensor: int, inner: int) -> None:
        for operator in graph.operators:
            read = [inner if int(i) == tensor else int(i) for i in operator.inputs]
            operator.inputs = np.array(read, np.int32)


def _converted(has: Params, io: DType) -> Params:
    """The same values in another type."""
    if io is DType.FLOAT32 or has is None:
        return None
    if io is DType.UINT8 and has.dtype is DType.INT8:
        return QParams(io, has.scale, has.zero_point + 128)
    low, high = has.limits
    return activation_params(low, high, io)


def _quantization(scales: Array, zero_point: int, axis: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.QuantizationParametersT()
    made.scale = scales
    made.zeroPoint = np.full(len(scales), zero_point, np.int64)
    made.quantizedDimension = axis
    return made
