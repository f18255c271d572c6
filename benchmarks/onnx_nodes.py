"""ONNX's own node tests through our conversion and our runtime: the table of docs/onnx.md.

    python -m benchmarks.onnx_nodes            all operators, about half an hour; writes the table
    python -m benchmarks.onnx_nodes Conv Relu  some operators, printed only

Every case of the onnx package (onnx.backend.test) whose operators TFLite Micro can express is
converted by `edgepack convert` and run by edgepack/ops/evaluate.py, the numpy meaning of what the
compiler emits. Its outputs must equal the expected ones within the case's own tolerances. Inputs
that are parameters in real models (weights, shapes, axes) are made constants first.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import EdgepackError
from edgepack.frontends.tflite import load_tflite
from edgepack.models.isolate import kept_child
from edgepack.models.onnx_child import DTYPES
from edgepack.ops.evaluate import evaluate
from edgepack.types import Array

DOC = Path(__file__).parents[1] / "docs" / "onnx_nodes.md"
SECONDS = 60.0
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


@dataclass(frozen=True)
class Case:
    """One test: its operator, and what came of it; `why` is empty where it passed."""

    operator: str
    name: str
    why: str


def cases(operators: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The onnx package's cases of these operators, without the function bodies it adds."""
    from onnx.backend.test.loader import load_model_tests

    for test in load_model_tests(kind="node"):
        nodes = test.model.graph.node if test.model is not None else []
        if len(nodes) == 1 and nodes[0].op_type in operators and "_expanded" not in test.name:
            yield nodes[0].op_type, test


# how the reasons begin that `type_reason` gives
_TYPES = ("a sequence", "an element type", "FLOAT16", "UINT16", "UINT32", "8- or 16-bit")


def type_reason(operator: str, model: Any) -> str:
    """Why no runtime for microcontrollers could hold its tensors; empty if one could."""
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            return "a sequence or optional value"
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
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model, list(inputs[:count])


def run_case(operator: str, test: Any, folder: Path) -> Case:
    """Convert one model and compare."""
    import onnx

    reason = type_reason(operator, test.model)
    if reason:
        return Case(operator, test.name, reason)
    inputs, outputs = test.data_sets[0]
    model, left = with_constants(operator, test, inputs)
    path = folder / f"{test.name}.onnx"
    onnx.save(model, path)
    try:
        done = convert(path, folder, ConvertOptions(time_limit=SECONDS))
        module = load_tflite(done.path)
        graph = module.graphs[0]
        moved = [entry["layout"] is not None for entry in done.report["source"]["inputs"]]
        fed = [
            _fed(np.moveaxis(np.asarray(a), 1, -1) if m else a, graph.tensors[t])
            for a, t, m in zip(left, graph.inputs, moved, strict=True)
        ]
        made = evaluate(module, fed)
    except EdgepackError as error:
        return Case(operator, test.name, " ".join(error.message.split())[:160])
    except (ValueError, KeyError, IndexError) as error:  # a gap of the evaluator, for the table
        return Case(operator, test.name, f"the evaluator fails: {error}"[:160])
    finally:
        path.unlink()
    results = [np.asarray(made[t]) if t in made else graph.tensors[t].data for t in graph.outputs]
    quants = [graph.tensors[t] for t in graph.outputs]
    for want, have, tensor in zip(outputs, results, quants, strict=True):
        assert have is not None
        if not _equal(np.asarray(want), have, tensor, test):
            return Case(operator, test.name, "other values than expected")
    return Case(operator, test.name, "")


def _fed(array: Any, tensor: Any) -> Array:
    """A sample as the converted model takes it."""
    value: Array = np.asarray(array)
    if value.dtype == tensor.dtype.numpy:
        return value.reshape(tensor.shape)
    if value.dtype == np.uint8:  # quantized; the conversion moved it by 128
        return (value.astype(np.int16) - 128).astype(np.int8)
    if value.dtype == np.float32 and tensor.quant is not None:
        steps: Array = np.rint(value / tensor.scale) + tensor.zero_point
        return steps.clip(-128, 127).astype(np.int8)
    return value.astype(tensor.dtype.numpy)


def _equal(want: Array, have: Array, tensor: Any, test: Any) -> bool:
    if want.size != have.size:
        return False
    if want.ndim >= 3 and want.shape != have.shape:  # channels last now
        want = np.moveaxis(want, 1, -1)
    if want.shape != have.shape:
        have = have.reshape(want.shape)
    steps = 0
    if want.dtype == np.uint8 and have.dtype == np.int8:
        want, steps = want.astype(np.int16) - 128, 1
    elif want.dtype == np.float32 and have.dtype == np.int8:
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


def run_all(operators: Sequence[str], limit: int | None = None) -> list[Case]:
    """Run the cases of some operators; at most `limit` of each."""
    found: list[Case] = []
    seen: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, kept_child():
        for operator, test in cases(operators):
            seen[operator] = seen.get(operator, 0) + 1
            if limit is None or seen[operator] <= limit:
                found.append(run_case(operator, test, Path(folder)))
    return found


def table(found: Iterable[Case]) -> str:
    """The document with one row per operator."""
    import onnx

    rows: dict[str, list[Case]] = {}
    for case in found:
        rows.setdefault(case.operator, []).append(case)
    every = [case for group in rows.values() for case in group]
    passed = sum(1 for case in every if not case.why)
    foreign = sum(1 for case in every if case.why.startswith(_TYPES))
    lines = [
        "# ONNX node tests",
        "",
        "The test cases of the onnx package for operators that TFLite Micro can express, converted",
        "by edgepack and run by its numpy evaluator. Written by `python -m benchmarks.onnx_nodes`",
        f"with onnx {onnx.__version__}.",
        "",
        f"**{passed} of {len(every) - foreign} cases of {len(rows)} operators pass.**",
        f"{foreign} more have element types that TFLite Micro computes nothing on.",
        "",
        "| operator | passed | cases | why others do not (cases) |",
        "|---|---:|---:|---|",
    ]
    for operator, group in sorted(rows.items()):
        reasons: dict[str, int] = {}
        for case in group:
            if case.why:
                reasons[_brief(case)] = reasons.get(_brief(case), 0) + 1
        why = "; ".join(f"{text} ({count})" for text, count in sorted(reasons.items()))
        good = sum(1 for case in group if not case.why)
        lines.append(f"| {operator} | {good} | {len(group)} | {why} |")
    return "\n".join(lines) + "\n"


def _brief(case: Case) -> str:
    text = case.why.replace("|", "/").replace(case.name, "...").replace("\n", " ")
    return text[:90]


def main(arguments: Sequence[str]) -> None:
    """Run and print, or write the table where all operators ran."""
    found = run_all(arguments or OPERATORS)
    if not arguments:
        DOC.write_text(table(found), encoding="utf-8")
        print(f"{DOC.name}: {sum(1 for case in found if not case.why)} of {len(found)} pass")
        return
    for case in found:
        print(json.dumps([case.operator, case.name, case.why]))


if __name__ == "__main__":
    main(sys.argv[1:])
