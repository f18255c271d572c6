"""An ONNX graph made ready for a converter: fixed shapes, folded constants, named nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.shapes import check_size
from edgepack.errors import ConversionError, UnsupportedError
from edgepack.models.handle import TensorSpec

MAX_OPSET = 23  # of ONNX 1.18; later ones add element types
# operators that look at every element by itself, so that the layout passes through them
_ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "BatchNormalization", "Cast", "Ceil", "Clip", "DequantizeLinear", "Div",
        "Dropout", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity",
        "LeakyRelu", "Log", "Mul", "Neg", "Pad", "Pow", "QuantizeLinear", "Relu", "Selu",
        "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
# operators whose input has its channels in axis 1 (onnx Operators.md)
CHANNELS_FIRST = frozenset(
    {
        "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace",
        "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "InstanceNormalization", "LRN",
        "LpPool", "MaxPool", "QLinearAveragePool", "QLinearConv", "QLinearGlobalAveragePool",
        "Resize", "SpaceToDepth", "Upsample",
    }
)  # fmt: skip
QUANTIZED = frozenset(
    {
        "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QGemm",
        "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearConv",
        "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMatMul", "QLinearMul",
        "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear",
    }
)  # fmt: skip
# ONNX Runtime's source file and the function's signature, in front of what it has to say
_RUNTIME_PLACE = re.compile(r"/onnxruntime_src/\S+ .*?\[with .*?\] |/onnxruntime_src/\S+ [^)]*\) ")


def is_quantized(proto: Any) -> bool:
    """Whether a graph holds quantized operators or QuantizeLinear and DequantizeLinear pairs."""
    return any(node.op_type in QUANTIZED for node in proto.graph.node)


def fix_shapes(proto: Any, inputs: Sequence[TensorSpec]) -> None:
    """Give the inputs their shapes, and everything else what follows from them.

    Raises:
        ConversionError: the shapes contradict each other.
        UnsupportedError: a tensor between is larger than any device's memory.
    """
    import onnx

    constants = {tensor.name for tensor in proto.graph.initializer}
    values = [value for value in proto.graph.input if value.name not in constants]
    # later ones of the file may hold names of dimensions that are known now
    del proto.graph.value_info[:]
    for value, spec in zip(values, inputs, strict=True):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in spec.shape:
            shape.dim.add().dim_value = size
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    # initializers that are inputs too could be overridden; here they are constants
    kept = [value for value in proto.graph.input if value.name not in constants]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    # the C++ code's exceptions have several classes
    except Exception as error:
        lines = " ".join(str(error).split())[:300]
        raise ConversionError(f"the shapes of the ONNX graph do not fit: {lines}") from error
    proto.CopyFrom(inferred)
    for value in [*proto.graph.value_info, *proto.graph.output]:
        dims = value.type.tensor_type.shape.dim
        sizes = tuple(d.dim_value for d in dims)
        if all(sizes):
            check_size(f"the tensor {value.name}", sizes)


def lower_opset(proto: Any) -> Any:
    """The model in an operator set that ONNX Runtime has, where its own is newer.

    Raises:
        UnsupportedError: onnx cannot write it in an older set; its message names the operator.
    """
    import onnx

    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or versions[0] <= MAX_OPSET:
        return proto
    try:
        return onnx.version_converter.convert_version(proto, MAX_OPSET)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise UnsupportedError(
            f"the model is of operator set {versions[0]}: {why}", allowed=f"at most {MAX_OPSET}"
        ) from error


def inferred_shapes(proto: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of values that stand in the graph, as far as they are fixed."""
    found = {}
    for value in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            found[value.name] = tuple(d.dim_value for d in kind.shape.dim)
    return found


def known_shapes(proto: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs, outputs and everything between that could be inferred.

    Operators of ONNX Runtime's own, which the inference skips, are run once instead.
    """
    found = inferred_shapes(proto)
    missing = [n for node in proto.graph.node for n in node.output if n and n not in found]
    if missing:
        found.update(_run_for_shapes(proto, missing, found))
    return found


def _run_for_shapes(
    proto: Any, names: Sequence[str], known: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """The shapes of some values, found by computing them on zeros."""
    import onnx
    import onnxruntime as ort

    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    present = {value.name for value in probe.graph.output}
    probe.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in present
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(
            probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        types = {v.name: v.type.tensor_type.elem_type for v in proto.graph.input}
        zeros = {
            name: np.zeros(known[name], onnx.helper.tensor_dtype_to_np_dtype(kind))
            for name, kind in types.items()
        }
        arrays = session.run(list(names), zeros)
    except Exception as error:
        raise refused(error) from error
    return {name: tuple(array.shape) for name, array in zip(names, arrays, strict=True)}


def name_nodes(proto: Any) -> None:
    """Give every node a name of its own, so that a message can say which one failed."""
    seen: set[str] = set()
    for index, node in enumerate(proto.graph.node):
        # one slash at the beginning is PyTorch's habit and no TensorFlow name
        name = node.name.lstrip("/") or f"{node.op_type}_{index}"
        while name in seen:
            name += f"_{index}"
        node.name = name
        seen.add(name)


def fold(proto: Any, folder: Path) -> Any:
    """The graph after ONNX Runtime's basic optimizations: constants, identities, dead ends.

    Raises:
        ConversionError: ONNX Runtime refuses it; its own words tell of the node.
    """
    import onnx
    import onnxruntime as ort

    target = folder / "folded.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(str(target))
    except Exception as error:
        raise refused(error) from error
    finally:
        target.unlink(missing_ok=True)
    foreign = sorted({n.op_type for n in folded.graph.node if n.domain not in ("", "ai.onnx")})
    if foreign:
        raise UnsupportedError(
            f"the model has operators outside the ONNX standard: {', '.join(foreign)}",
            allowed="operators of the domain ai.onnx",
        )
    return onnx.shape_inference.infer_shapes(folded)  # types and shapes of what is new


def explicit_states(proto: Any) -> None:
    """Give LSTM, GRU and RNN the bias and initial states that they may leave out, all zeros.

    onnx2tf takes them for granted; the results stay the same (onnx Operators.md).
    """
    from onnx import numpy_helper

    shapes = known_shapes(proto)
    constants = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    for number, node in enumerate(proto.graph.node):
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}.get(node.op_type)
        recurrent = constants.get(node.input[2]) if gates else None
        if gates is None or recurrent is None:
            continue
        directions, hidden = recurrent[0], recurrent[2]
        batch = shapes[node.input[0]][1]
        state = (directions, batch, hidden)
        wanted = {3: (directions, 2 * gates * hidden), 5: state}
        if node.op_type == "LSTM":
            wanted[6] = state
        names = [*node.input, *[""] * (max(wanted) + 1 - len(node.input))]
        for position, shape in wanted.items():
            if not names[position]:
                names[position] = f"edgepack/zeros/{number}/{position}"
                zeros = np.zeros(shape, np.float32)
                proto.graph.initializer.append(numpy_helper.from_array(zeros, names[position]))
        del node.input[:]
        node.input.extend(names)


def explicit_pads(proto: Any) -> None:
    """Write `auto_pad` out as `pads`, and the kernel's shape, where the graph leaves them open.

    SAME_UPPER and SAME_LOWER put the odd zero behind or before (onnx Operators.md, Conv).
    """
    from onnx import helper

    shapes = known_shapes(proto)
    constants = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        found = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type in ("Conv", "ConvTranspose") and "kernel_shape" not in found:
            size = constants.get(node.input[1], ())[2:]
            node.attribute.extend([helper.make_attribute("kernel_shape", size)] if size else [])
        if "auto_pad" not in found or node.op_type not in ("Conv", "MaxPool", "AveragePool"):
            continue
        mode = helper.get_attribute_value(found["auto_pad"]).decode()
        sizes = shapes[node.input[0]][2:]
        weights = constants.get(node.input[1], ()) if node.op_type == "Conv" else ()
        kernel = _ints(found, "kernel_shape", weights[2:])
        if len(kernel) != len(sizes) or mode not in ("SAME_UPPER", "SAME_LOWER", "VALID"):
            continue
        strides = _ints(found, "strides", [1] * len(sizes))
        dilations = _ints(found, "dilations", [1] * len(sizes))
        total = [
            max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) if mode != "VALID" else 0
            for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if mode == "SAME_UPPER" else large + small
        kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def _ints(attributes: dict[str, Any], name: str, default: Sequence[int]) -> list[int]:
    return [int(v) for v in (attributes[name].ints if name in attributes else default)]


def refused(error: Exception) -> ConversionError:
    """What ONNX Runtime says of a model that it does not load or run."""
    text = _RUNTIME_PLACE.sub("", " ".join(str(error).split()))
    return ConversionError(
        f"ONNX Runtime refuses the model: {text[:400]}",
        next_step="check it with onnx.checker.check_model(path, full_check=True)",
    )


def channels_first_inputs(proto: Any) -> set[str]:
    """The inputs that reach a convolution or the like with only elementwise operators between."""
    users: dict[str, list[Any]] = {}
    for node in proto.graph.node:
        for name in node.input[:1] if node.op_type in CHANNELS_FIRST else node.input:
            users.setdefault(name, []).append(node)
    found = set()
    for value in proto.graph.input:
        if len(value.type.tensor_type.shape.dim) not in (3, 4):
            continue
        waiting, seen = [value.name], set()
        while waiting:
            name = waiting.pop()
            for node in users.get(name, []):
                if node.op_type in CHANNELS_FIRST:
                    found.add(value.name)
                elif node.op_type in _ELEMENTWISE and node.output[0] not in seen:
                    seen.add(node.output[0])
                    waiting.append(node.output[0])
    return found
