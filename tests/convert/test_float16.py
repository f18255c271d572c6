"""float16 weights there and back: half the file, and the float32 that they stand for."""

from __future__ import annotations

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.convert.float16 import to_float16, widen_float16
from edgepack.models.tflite_file import operator_name
from tests.phone_assets.models import float_classifier


def _ops(model: bytes) -> list[str]:
    parsed = read_model(model)
    return [operator_name(parsed, o) for o in parsed.subgraphs[0].operators]


def _run(model: bytes, values: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    result: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def test_widened_models_compute_the_same_without_dequantize() -> None:
    model = float_classifier()
    half, warnings = to_float16(model)
    wide = widen_float16(half)
    assert not warnings and len(half) < 0.7 * len(model)
    assert "DEQUANTIZE" in _ops(half) and _ops(wide) == _ops(model)
    values = np.random.default_rng(1).standard_normal((1, 48)).astype(np.float32)
    assert _run(half, values).tobytes() == _run(wide, values).tobytes()
    assert _run(half, values).tobytes() != _run(model, values).tobytes()


def test_a_model_without_float16_stays_as_it_is() -> None:
    model = float_classifier()
    assert widen_float16(model) is model
