"""The ONNX model in ONNX Runtime against the `.tflite` in LiteRT: each operator, and the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.convert.onnx_out.builder import Builder
from edgepack.convert.ort import OrtRunner
from edgepack.convert.report import Parity
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import ConversionError
from edgepack.types import Array, DType

SAMPLES = 4
_SEED = 0
# One operator on equal inputs: a pair rounds the exact sum once and half to even, TFLite a
# fixed-point product twice, so their results lie at most one step apart.
MAX_STEPS = 1
# Of a float output's range: additions in another order.
MAX_FLOAT = 1e-4


def compare_apart(build: Callable[[Editor, Builder], Any], editor: Editor, data: bytes) -> str:
    """Run every operator by itself on what LiteRT computed before it; says how far they are.

    Raises:
        ConversionError: an operator computes something else; the message names it.
    """
    b = Builder(editor, apart=True)
    runner = OrtRunner(build(editor, b))
    reference = _Reference(b, data)
    worst = values = unequal = 0
    for stored in _samples(b):
        tensors = reference.all(stored)
        fed = [_real(b, i, a) for i, a in zip(_ids(b.graph.inputs), stored, strict=True)]
        fed += [_real(b, tensor, tensors[tensor]) for tensor in b.given()]
        for (tensor, _, first), have in zip(b.made, runner(tuple(fed)), strict=True):
            want = _real(b, tensor, tensors[tensor])
            have = np.moveaxis(have, 1, -1) if first else have
            steps = np.rint(_steps(b, tensor, want, have)).astype(np.int64)
            worst = max(worst, int(steps.max(initial=0)))
            unequal, values = unequal + int(np.count_nonzero(steps)), values + steps.size
            if worst > MAX_STEPS:
                raise ConversionError(
                    f"{b.label(tensor)} of the ONNX model is {worst} steps from the .tflite's",
                    allowed=f"{MAX_STEPS} step on equal inputs",
                    next_step="report this model as a defect of the converter",
                )
    share = unequal / max(values, 1)
    return (
        f"each operator by itself is at most {worst} int8 step from LiteRT's: {share:.2%} of the "
        "values differ, because TFLite rounds a product twice and ONNX once; through many layers "
        "such differences add up"
    )


def compare_whole(proto: Any, editor: Editor, data: bytes) -> Parity:
    """The whole model, with ONNX Runtime's own fusions; differences in real numbers."""
    b = Builder(editor)
    runner, reference = OrtRunner(proto, optimized=True), _Reference(b, data)
    max_abs = max_relative = 0.0
    unequal = values = 0
    for stored in _samples(b):
        tensors = reference.all(stored)
        fed = [_real(b, i, a) for i, a in zip(_ids(b.graph.inputs), stored, strict=True)]
        for tensor, have in zip(_ids(b.graph.outputs), runner(tuple(fed)), strict=True):
            want = _real(b, tensor, tensors[tensor])
            difference = np.abs(want.astype(np.float64) - have)
            values, unequal = (
                values + want.size,
                unequal + int(np.count_nonzero(_steps(b, tensor, want, have) > 0.5)),
            )
            largest = float(difference.max(initial=0.0))
            max_abs = max(max_abs, largest)
            max_relative = max(max_relative, largest / _span(b, tensor, want))
    return Parity("random", SAMPLES, max_abs, max_relative, unequal, values)


class _Reference:
    """LiteRT with everything that it computes on the way."""

    def __init__(self, b: Builder, data: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._wanted = {i for o in b.graph.operators for i in _ids(o.outputs)}
        self._interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._inputs = [entry["index"] for entry in self._interpreter.get_input_details()]

    def all(self, stored: tuple[Array, ...]) -> dict[int, Array]:
        """Every tensor that an operator writes, by its index."""
        for index, array in zip(self._inputs, stored, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return {i: np.array(self._interpreter.get_tensor(i)) for i in self._wanted}


def _samples(b: Builder) -> list[tuple[Array, ...]]:
    generator = np.random.default_rng(_SEED)
    return [tuple(_sample(generator, b, i) for i in _ids(b.graph.inputs)) for _ in range(SAMPLES)]


def _sample(generator: np.random.Generator, b: Builder, tensor: int) -> Array:
    shape = b.shape(tensor)
    if b.dtype(tensor) is DType.INT8:
        return generator.integers(-128, 128, shape).astype(np.int8)
    return generator.normal(size=shape).astype(np.float32)


def _real(b: Builder, tensor: int, array: Array) -> Array:
    """Stored values as the real numbers that they stand for, as DequantizeLinear computes them."""
    quantization = b.quantization(tensor)
    if array.dtype == np.float32 or quantization is None:
        return array.astype(np.float32)
    scale, zero, _ = quantization
    real: Array = (array.astype(np.float32) - np.float32(zero[0])) * scale[0]
    return real


def _steps(b: Builder, tensor: int, want: Array, have: Array) -> Array:
    """Differences in steps of the tensor; of a float, in units of what is allowed."""
    difference = np.abs(want.astype(np.float64) - have)
    quantization = b.quantization(tensor)
    if quantization is None or b.dtype(tensor) is not DType.INT8:
        return difference / (MAX_FLOAT * _span(b, tensor, want))
    return difference / float(quantization[0][0])


def _span(b: Builder, tensor: int, want: Array) -> float:
    quantization = b.quantization(tensor)
    if quantization is not None and b.dtype(tensor) is DType.INT8:
        return 255 * float(quantization[0][0])
    return max(float(np.ptp(want)), float(np.abs(want).max(initial=0.0))) or 1.0


def _ids(values: Any) -> list[int]:
    return [int(value) for value in values]
