"""The builtin ops that TensorFlow Lite Micro runs, and how each is registered."""

from __future__ import annotations

from typing import Any

from edgepack.errors import UnsupportedError
from edgepack.ops.tflm import TFLM_TYPES

# What MicroMutableOpResolver registers: the ops whose types were measured, and one that edgepack's
# own runtime lacks. Source: tensorflow/lite/micro/
# micro_mutable_op_resolver.h of the tflite-micro repository, 90b983c2b3f1.
TFLM_OPS = frozenset(TFLM_TYPES) | {"BROADCAST_ARGS"}
# methods whose names do not follow from the op's name
_IRREGULAR = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


def resolver_method(op: str) -> str:
    """The MicroMutableOpResolver method that registers a builtin op: CONV_2D -> AddConv2D.

    Raises:
        UnsupportedError: TFLM has no kernel for it.
    """
    if op not in TFLM_OPS:
        raise UnsupportedError(
            f"TensorFlow Lite Micro has no kernel for {op}",
            allowed=", ".join(sorted(TFLM_OPS)),
            next_step="edgepack build with --runtime c",
        )
    if op in _IRREGULAR:
        return _IRREGULAR[op]
    # a part such as 2D keeps its capital
    return "Add" + "".join(p if p[0].isdigit() else p.capitalize() for p in op.split("_"))


def operators(data: bytes) -> tuple[str, ...]:
    """The builtin op of every operator of a .tflite file, all subgraphs, in the file's order.

    TFLM runs the file as it is, so what edgepack's passes would remove counts too. The file has
    been verified by `load_tflite`.

    Raises:
        UnsupportedError: a custom op, which nothing here could register.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    found = []
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            code = model.operatorCodes[operator.opcodeIndex]
            # files older than schema 3a only fill the deprecated byte
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if name == "CUSTOM":
                raise UnsupportedError(
                    f"custom op {(code.customCode or b'').decode('utf-8', 'replace')!r}: "
                    "edgepack cannot register custom ops with TensorFlow Lite Micro"
                )
            found.append(name)
    return tuple(found)
