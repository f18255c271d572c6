"""Random quantized graphs with branches, drawn by hypothesis, as `.tflite` files.

Structure (ops, operands, sizes, scales) is drawn, so that hypothesis can shrink it; weights and
samples come from a drawn seed. Every op is drawn only where TFLM has a kernel for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st

from edgepack.ops.shared.kernel import Isa
from edgepack.types import Array
from tests.c_batch import Case
from tests.tflite_builder import ModelBuilder, TensorSpec, spec

SAMPLES = 2
# Two quantizations of activations, so that ops which need equal ones (concatenation) often apply.
QUANTIZATIONS = ((0.05, -4), (0.11, 17))
ACTIVATIONS = ("NONE", "RELU", "RELU6")
MOST_OPS = 12
FEATURES = (frozenset[str](), frozenset({"dsp"}))  # the instruction sets whose kernels take turns


class Draw(Protocol):
    """hypothesis' draw function."""

    def __call__(self, strategy: st.SearchStrategy[Any], /) -> Any: ...


@dataclass(frozen=True)
class Value:
    """A tensor of the graph so far: always INT8."""

    handle: int
    shape: tuple[int, ...]
    quant: int  # index into QUANTIZATIONS; -1: another one


@dataclass
class Sketch:
    """The graph while it is drawn; `steps` describes it for failures."""

    draw: Draw
    rng: np.random.Generator
    model: ModelBuilder
    values: list[Value] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)

    def pick(self, wanted: Callable[[Value], bool]) -> Value | None:
        """One of the values that fit, the newest first when shrinking."""
        fitting = [v for v in reversed(self.values) if wanted(v)]
        return self.draw(st.sampled_from(fitting)) if fitting else None

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def quant(self) -> int:
        return self.number(0, len(QUANTIZATIONS) - 1)

    def make(self, shape: tuple[int, ...], quant: int) -> TensorSpec:
        scale, zero = QUANTIZATIONS[quant]
        return spec(shape, "INT8", scale, zero)

    def emit(
        self,
        op: str,
        inputs: list[Value | int],
        outputs: list[tuple[tuple[int, ...], int]],
        options: dict[str, Any] | None = None,
        made: list[TensorSpec] | None = None,
    ) -> None:
        handles = [i.handle if isinstance(i, Value) else i for i in inputs]
        self.used.update(i.handle for i in inputs if isinstance(i, Value))
        specs = made or [self.make(shape, quant) for shape, quant in outputs]
        results = self.model.op(op, handles, specs, options)
        self.values += [
            Value(h, shape, quant) for h, (shape, quant) in zip(results, outputs, strict=True)
        ]
        self.steps.append(f"{op}{handles}->{[s for s, _ in outputs]} {options or ''}")

    def ints(self, values: list[int] | tuple[int, ...]) -> int:
        return self.model.const(np.array(values, np.int32), "INT32")


def _image(value: Value) -> bool:
    return len(value.shape) == 4


def _output_size(size: int, kernel: int, stride: int, padding: str) -> int:
    return -(-size // stride) if padding == "SAME" else (size - kernel) // stride + 1


def _window(s: Sketch, x: Value) -> tuple[int, int, int, int, str, tuple[int, int]]:
    padding = s.choose("SAME", "VALID")
    most = (3, 3) if padding == "SAME" else (min(3, x.shape[1]), min(3, x.shape[2]))
    kh, kw = s.number(1, most[0]), s.number(1, most[1])
    sh, sw = s.number(1, 2), s.number(1, 2)
    size = (
        _output_size(x.shape[1], kh, sh, padding), _output_size(x.shape[2], kw, sw, padding)
    )  # fmt: skip
    return kh, kw, sh, sw, padding, size


def _weights(s: Sketch, shape: tuple[int, ...], channels: int, axis: int, x: Value) -> list[int]:
    """Handles of per-channel weights and bias."""
    scales = s.rng.uniform(0.004, 0.03, channels)
    weights = s.model.const(s.rng.integers(-127, 128, shape), "INT8", scales, axis=axis)
    source = QUANTIZATIONS[max(x.quant, 0)][0] if x.quant >= 0 else 1 / 256
    bias = s.model.const(s.rng.integers(-300, 300, channels), "INT32", scales * source)
    return [weights, bias]


def conv(s: Sketch) -> None:
    x = s.pick(_image)
    if x is None:
        return
    kh, kw, sh, sw, padding, size = _window(s, x)
    channels = s.number(1, 5)
    w, b = _weights(s, (channels, kh, kw, x.shape[3]), channels, 0, x)
    options = {
        "padding": padding, "stride_h": sh, "stride_w": sw, "dilation_h_factor": 1,
        "dilation_w_factor": 1, "fused_activation_function": s.choose(*ACTIVATIONS),
    }  # fmt: skip
    s.emit("CONV_2D", [x, w, b], [((x.shape[0], *size, channels), s.quant())], options)


def depthwise(s: Sketch) -> None:
    x = s.pick(_image)
    if x is None:
        return
    kh, kw, sh, sw, padding, size = _window(s, x)
    multiplier = s.number(1, 2)
    channels = x.shape[3] * multiplier
    w, b = _weights(s, (1, kh, kw, channels), channels, 3, x)
    options = {
        "padding": padding, "stride_h": sh, "stride_w": sw, "depth_multiplier": multiplier,
        "dilation_h_factor": 1, "dilation_w_factor": 1,
        "fused_activation_function": s.choose(*ACTIVATIONS),
    }  # fmt: skip
    s.emit("DEPTHWISE_CONV_2D", [x, w, b], [((x.shape[0], *size, channels), s.quant())], options)


def dense(s: Sketch) -> None:
    x = s.pick(lambda v: len(v.shape) == 2)
    if x is None:
        return
    units = s.number(1, 6)
    source = QUANTIZATIONS[x.quant][0] if x.quant >= 0 else 1 / 256
    w = s.model.const(s.rng.integers(-127, 128, (units, x.shape[1])), "INT8", 0.01)
    b = s.model.const(s.rng.integers(-300, 300, units), "INT32", 0.01 * source)
    options = {"fused_activation_function": s.choose(*ACTIVATIONS), "keep_num_dims": False}
    s.emit("FULLY_CONNECTED", [x, w, b], [((x.shape[0], units), s.quant())], options)


def binary(s: Sketch) -> None:
    x = s.pick(lambda v: True)
    assert x is not None
    y: Value | int | None = s.pick(lambda v: v.shape == x.shape)
    if s.number(0, 2) == 2:  # a constant row, broadcast
        row = s.rng.integers(-128, 128, x.shape[-1:])
        y = s.model.const(row, "INT8", *QUANTIZATIONS[s.quant()])
    assert y is not None
    op = s.choose("ADD", "MUL", "SUB")
    options = {"fused_activation_function": s.choose(*ACTIVATIONS)}
    s.emit(op, [x, y], [(x.shape, s.quant())], options)


def extreme(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    y = s.pick(lambda v: v.shape == x.shape and v.quant == x.quant)
    assert y is not None
    s.emit(s.choose("MAXIMUM", "MINIMUM"), [x, y], [(x.shape, x.quant)])


def _joins(a: Value, b: Value, axis: int) -> bool:
    rest = a.shape[:axis] + a.shape[axis + 1 :] == b.shape[:axis] + b.shape[axis + 1 :]
    return a.quant == b.quant and len(a.shape) == len(b.shape) and rest


def concat(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    axis = s.number(0, len(x.shape) - 1)
    parts: list[Value | int] = [x]
    for _ in range(s.number(1, 2)):
        other = s.pick(lambda v: _joins(v, x, axis))
        assert other is not None
        parts.append(other)
    total = sum(p.shape[axis] for p in parts if isinstance(p, Value))
    shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
    options = {"axis": axis, "fused_activation_function": "NONE"}
    s.emit("CONCATENATION", parts, [(shape, x.quant)], options)


def pad(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    amounts = [(s.number(0, 1), s.number(0, 2)) for _ in x.shape]
    amounts[0] = (0, 0)
    shape = tuple(d + a + b for d, (a, b) in zip(x.shape, amounts, strict=True))
    table = s.model.const(np.array(amounts, np.int32), "INT32")
    s.emit("PAD", [x, table], [(shape, x.quant)])


def pool(s: Sketch) -> None:
    x = s.pick(lambda v: _image(v) and v.quant >= 0)
    if x is None:
        return
    kh, kw, sh, sw, padding, size = _window(s, x)
    options = {
        "padding": padding, "stride_h": sh, "stride_w": sw, "filter_height": kh,
        "filter_width": kw, "fused_activation_function": s.choose(*ACTIVATIONS),
    }  # fmt: skip
    op = s.choose("AVERAGE_POOL_2D", "MAX_POOL_2D")
    s.emit(op, [x], [((x.shape[0], *size, x.shape[3]), x.quant)], options)


def reshape(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    count = int(np.prod(x.shape))
    divisors = [d for d in range(1, count + 1) if count % d == 0]
    first = s.choose(*divisors)
    shape = s.choose((1, count), (first, count // first), (1, first, count // first, 1))
    options = {"new_shape": list(shape)}
    s.emit("RESHAPE", [x, s.ints(shape)], [(shape, x.quant)], options)


def slices(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    begin = [s.number(0, d - 1) for d in x.shape]
    size = [s.number(1, d - b) for d, b in zip(x.shape, begin, strict=True)]
    if s.choose(True, False):
        s.emit("SLICE", [x, s.ints(begin), s.ints(size)], [(tuple(size), x.quant)])
        return
    stride = [s.number(1, 2) for _ in x.shape]
    end = [b + n for b, n in zip(begin, size, strict=True)]
    shape = tuple(-(-n // k) for n, k in zip(size, stride, strict=True))
    inputs: list[Value | int] = [x, s.ints(begin), s.ints(end), s.ints(stride)]
    s.emit("STRIDED_SLICE", inputs, [(shape, x.quant)], {})


def split(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0 and max(v.shape) > 1)
    if x is None:
        return
    axis = s.choose(*(i for i, d in enumerate(x.shape) if d > 1))
    parts = s.choose(*(n for n in range(2, x.shape[axis] + 1) if x.shape[axis] % n == 0))
    shape = (*x.shape[:axis], x.shape[axis] // parts, *x.shape[axis + 1 :])
    axis_const = s.model.const(np.array(axis, np.int32), "INT32")
    s.emit("SPLIT", [axis_const, x], [(shape, x.quant)] * parts, {"num_splits": parts})


def transpose(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    order = s.draw(st.permutations(range(len(x.shape))))
    shape = tuple(x.shape[i] for i in order)
    s.emit("TRANSPOSE", [x, s.ints(list(order))], [(shape, x.quant)])


def mean(s: Sketch) -> None:
    x = s.pick(_image)
    if x is None:
        return
    axes = s.choose((1, 2), (1,), (2,), (3,))
    shape = tuple(1 if i in axes else d for i, d in enumerate(x.shape))
    s.emit("MEAN", [x, s.ints(axes)], [(shape, s.quant())], {"keep_dims": True})


def unary(s: Sketch) -> None:
    x = s.pick(lambda v: v.quant >= 0)
    assert x is not None or all(v.quant < 0 for v in s.values)
    if x is None:
        return
    op = s.choose("RELU", "RELU6", "HARD_SWISH", "LEAKY_RELU", "QUANTIZE")
    options = {"alpha": 0.3} if op == "LEAKY_RELU" else None
    quant = x.quant if op == "RELU6" else s.quant()  # RELU6 only clamps, as in TFLM
    s.emit(op, [x], [(x.shape, quant)], options)


def fixed_scale(s: Sketch) -> None:
    """Ops whose output quantization TFLite prescribes."""
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    op = s.choose("LOGISTIC", "TANH", "SOFTMAX")
    scale, zero = (1 / 128, 0) if op == "TANH" else (1 / 256, -128)
    options = {"beta": 1.0} if op == "SOFTMAX" else None
    s.emit(op, [x], [(x.shape, -1)], options, [spec(x.shape, "INT8", scale, zero)])


def through_float(s: Sketch) -> None:
    """DEQUANTIZE, a float op that rounds once, QUANTIZE: still the same bytes everywhere."""
    x = s.pick(lambda v: v.quant >= 0)
    if x is None:
        return
    real = spec(x.shape, "FLOAT32")
    (a,) = s.model.op("DEQUANTIZE", [x.handle], [real])
    (b,) = s.model.op("ADD", [a, a], [real], {"fused_activation_function": "RELU"})
    s.used.add(x.handle)
    s.steps.append(f"DEQUANTIZE[{x.handle}], ADD")
    s.emit("QUANTIZE", [b], [(x.shape, s.quant())])


OPS: tuple[Callable[[Sketch], None], ...] = (
    conv, depthwise, dense, binary, binary, concat, concat, pad, pool, reshape, reshape, slices,
    split, transpose, mean, unary, fixed_scale, extreme, through_float,
)  # fmt: skip


@st.composite
def cases(draw: Draw) -> Case:
    """A graph of 2 to 12 ops, its unread tensors (and sometimes one that is read) as outputs."""
    features = draw(st.sampled_from(FEATURES))
    seed = draw(st.integers(0, 2**31))
    sketch = Sketch(draw, np.random.default_rng(seed), ModelBuilder())
    for i in range(draw(st.integers(1, 2))):
        size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)))
        handle = sketch.model.input(f"x{i}", (1, *size), "INT8", *QUANTIZATIONS[0])
        sketch.values.append(Value(handle, (1, *size), 0))
    inputs = list(sketch.values)
    wanted = draw(st.integers(2, MOST_OPS))
    while len(sketch.steps) < wanted:
        draw(st.sampled_from(OPS))(sketch)
    outputs = [v for v in sketch.values[len(inputs) :] if v.handle not in sketch.used]
    extra = draw(st.sampled_from(sketch.values[len(inputs) :]))
    if draw(st.booleans()) and extra not in outputs:
        outputs.append(extra)
    sketch.model.output(*(v.handle for v in outputs))
    samples: list[list[Array]] = [
        [sketch.rng.integers(-128, 128, v.shape).astype(np.int8) for v in inputs]
        for _ in range(SAMPLES)
    ]
    label = f"seed {seed} {sorted(features)}: " + "; ".join(sketch.steps)
    return Case(label, sketch.model.build(), samples, Isa(features))
