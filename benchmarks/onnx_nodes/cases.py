"""The cases of the onnx package that are tried, and how they are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgepack.models.onnx_child import DTYPES
from edgepack.types import Array

# How many inputs hold data; the others are parameters. Those not listed here have one.
DATA_INPUTS = {
    **dict.fromkeys(
        ("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
         "MatMul", "Mul", "Or", "Pow", "Sub", "Gather", "GatherND", "Mod"), 2
    ),
    **dict.fromkeys(("Concat", "Max", "Mean", "Min", "Sum"), 99),
    "Where": 3,
}  # fmt: skip
# What TFLite Micro has operators for, alone or in combination.
OPERATORS = (
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil",
    "Clip", "Concat", "Conv", "ConvTranspose", "Cos", "CumSum", "DepthToSpace",
    "DequantizeLinear", "Div", "Dropout", "Elu", "Equal", "Exp", "Expand", "Flatten", "Floor",
    "GRU", "Gather", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater",
    "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LRN",
    "LSTM", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax",
    "LpNormalization", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mod", "Mul", "Neg", "Not",
    "Or", "PRelu", "Pad", "Pow", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RNN",
    "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "ReduceSumSquare", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Sin", "Slice",
    "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
    "Transpose", "Unsqueeze", "Upsample", "Where",
)  # fmt: skip


def cases(operators: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The onnx package's cases of these operators, without the function bodies it adds."""
    from onnx.backend.test.loader import load_model_tests

    for test in load_model_tests(kind="node"):
        nodes = test.model.graph.node if test.model is not None else []
        if len(nodes) == 1 and nodes[0].op_type in operators and "_expanded" not in test.name:
            yield nodes[0].op_type, test


def type_reason(operator: str, model: Any) -> str:
    """Why TFLite Micro could hold no such data or has no such windows; empty if it could."""
    if any(a.name == "training_mode" and a.i for n in model.graph.node for a in n.attribute):
        return "training"
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            return "a sequence or optional value"
        sizes = [d.dim_value for d in kind.shape.dim if d.HasField("dim_value")]
        if 0 in sizes:
            return "no elements"
        if len(sizes) == 5 and operator in ("AveragePool", "ConvTranspose", "MaxPool"):
            return "windows of three dimensions"
        if kind.elem_type not in DTYPES:
            return "an element type that TFLite Micro does not have"
        if DTYPES[kind.elem_type].value in ("FLOAT16", "UINT16", "UINT32"):
            return f"{DTYPES[kind.elem_type].value} tensors"
        short = DTYPES[kind.elem_type].value in ("INT8", "UINT8", "INT16")
        if short and "Linear" not in operator:
            return "8- or 16-bit integers without a scale"
    return ""


def with_constants(operator: str, test: Any, inputs: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The model with its parameters as constants, and the inputs that are left."""
    import onnx
    from onnx import numpy_helper

    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    count = DATA_INPUTS.get(operator, 1)
    kept = list(model.graph.input)[:count]
    for value, array in zip(list(model.graph.input)[count:], inputs[count:], strict=True):
        if isinstance(array, onnx.TensorProto) or not value.type.HasField("tensor_type"):
            kept.append(value)  # `type_reason` refuses it
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model, list(inputs[:count])


def fed(array: Any, tensor: Any) -> Array:
    """A sample as the converted model takes it."""
    value: Array = np.asarray(array)
    if value.dtype == tensor.dtype.numpy:
        return value.reshape(tensor.shape)
    if value.dtype == np.uint8:  # quantized; the conversion moved it by 128
        return (value.astype(np.int16) - 128).astype(np.int8).reshape(tensor.shape)
    if value.dtype == np.float32 and tensor.quant is not None:
        steps: Array = np.rint(value / tensor.scale) + tensor.zero_point
        return steps.clip(-128, 127).astype(np.int8)
    return value.astype(tensor.dtype.numpy)


def equal(want: Array, have: Array, tensor: Any, test: Any) -> bool:
    """Whether an output is the expected one, within the case's own tolerances."""
    if want.size != have.size:
        return False
    if want.ndim >= 3 and want.shape != have.shape:  # channels last now
        want = np.moveaxis(want, 1, -1)
    if want.shape != have.shape:
        have = have.reshape(want.shape)
    steps = 0
    if want.dtype == np.uint8 and have.dtype == np.int8:
        want, steps = want.astype(np.int16) - 128, 1
    elif want.dtype == np.float32 and have.dtype == np.int8 and tensor.quant is not None:
        have = (have.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
    elif want.dtype == np.int8 and tensor.quant is not None:
        steps = 1  # TFLite rounds a product twice (docs/onnx.md)
    if want.dtype.kind in "iub" and have.dtype.kind in "iub":
        return bool(np.all(np.abs(want.astype(np.int64) - have.astype(np.int64)) <= steps))
    close = np.isclose(have, want, rtol=test.rtol, atol=max(test.atol, 1e-6), equal_nan=True)
    if want.ndim >= 3 and not close.all() and want.shape == np.moveaxis(want, 1, -1).shape:
        # a cube looks the same in both layouts
        close = np.isclose(have, np.moveaxis(want, 1, -1), rtol=test.rtol, atol=1e-6)
    return bool(close.all())
