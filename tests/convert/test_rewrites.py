"""Every rewrite: found in its forms, left alone elsewhere, and the outputs stay."""

from __future__ import annotations

import inspect
import pkgutil
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from edgepack.convert import rewrites
from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.parity import LiteRt
from edgepack.convert.rewrites.table import REWRITES, rewrite
from edgepack.models.tflite_file import operator_name
from edgepack.types import Array
from tests.tflite_builder import ModelBuilder, spec

# A few roundings of float32 (6e-8 each) on values up to about 100.
ROUNDING = 2e-5
SHAPE = (1, 4, 4, 3)
NONE = {"fused_activation_function": "NONE"}
Body = Callable[[ModelBuilder, int], int]


def scalar(model: ModelBuilder, value: float) -> int:
    return model.const(np.array(value, np.float32), "FLOAT32")


def one(model: ModelBuilder, op: str, inputs: list[int], **options: object) -> int:
    binary = op in ("ADD", "MUL", "SUB", "DIV")
    settings = {**(NONE if binary else {}), **options}
    return model.op(op, inputs, [spec(SHAPE, "FLOAT32")], settings)[0]


def conv(model: ModelBuilder, x: int, activation: str = "NONE") -> int:
    generator = np.random.default_rng(1)
    w = model.const(generator.normal(size=(3, 3, 3, 3)).astype(np.float32), "FLOAT32")
    bias = model.const(np.array([1, -2, 3], np.float32), "FLOAT32")
    options: dict[str, object] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    options["fused_activation_function"] = activation
    return model.op("CONV_2D", [x, w, bias], [spec(SHAPE, "FLOAT32")], options)[0]


def built(body: Body) -> bytes:
    model = ModelBuilder()
    x = model.input("x", SHAPE, "FLOAT32")
    model.output(body(model, x))
    return model.build()


def operators(data: bytes) -> Counter[str]:
    model = read_model(data)
    return Counter(operator_name(model, o) for o in model.subgraphs[0].operators)


def outputs(data: bytes) -> list[Array]:
    generator = np.random.default_rng(0)
    run = LiteRt(data)
    samples = [generator.normal(0, 4, SHAPE).astype(np.float32) for _ in range(3)]
    return [result for sample in samples for result in run((sample,))]


def relu6_min_relu(m: ModelBuilder, x: int) -> int:
    return one(m, "MINIMUM", [one(m, "RELU", [x]), scalar(m, 6.0)])


def relu6_min_max(m: ModelBuilder, x: int) -> int:
    inner = one(m, "MAXIMUM", [scalar(m, 0.0), conv(m, x)])
    return one(m, "MINIMUM", [inner, scalar(m, 6.0)])


def relu6_relu_min(m: ModelBuilder, x: int) -> int:
    return one(m, "RELU", [one(m, "MINIMUM", [x, scalar(m, 6.0)])])


def swish_div(m: ModelBuilder, x: int) -> int:
    gate = one(m, "RELU6", [one(m, "ADD", [x, scalar(m, 3.0)])])
    return one(m, "DIV", [one(m, "MUL", [x, gate]), scalar(m, 6.0)])


def swish_factor(m: ModelBuilder, x: int) -> int:
    gate = one(m, "ADD", [scalar(m, 3.0), x], fused_activation_function="RELU6")
    return one(m, "MUL", [one(m, "MUL", [gate, scalar(m, 1 / 6)]), x])


def gelu_products(m: ModelBuilder, x: int) -> int:
    cube = one(m, "MUL", [one(m, "MUL", [x, x]), x])
    inside = one(m, "ADD", [x, one(m, "MUL", [cube, scalar(m, 0.044715)])])
    curve = one(m, "TANH", [one(m, "MUL", [inside, scalar(m, 0.7978845608)])])
    return one(m, "MUL", [one(m, "MUL", [x, scalar(m, 0.5)]), one(m, "ADD", [curve, scalar(m, 1)])])


def gelu_power(m: ModelBuilder, x: int) -> int:
    cube = one(m, "POW", [x, scalar(m, 3.0)])
    inside = one(m, "ADD", [one(m, "MUL", [scalar(m, 0.044715), cube]), x])
    curve = one(m, "TANH", [one(m, "MUL", [scalar(m, 0.7978845608), inside])])
    half = one(m, "MUL", [one(m, "ADD", [scalar(m, 1), curve]), scalar(m, 0.5)])
    return one(m, "MUL", [half, x])


def norm(m: ModelBuilder, x: int) -> int:
    factors = m.const(np.array([0.5, -2, 3], np.float32), "FLOAT32")
    offsets = m.const(np.array([[[[1, 2, 3]]]], np.float32), "FLOAT32")
    scaled = one(m, "MUL", [conv(m, x), factors])
    return one(m, "RELU", [one(m, "SUB", [scaled, offsets])])


def pixels(m: ModelBuilder, x: int) -> int:
    """A convolution whose pixels become a sequence, as a framework with NCHW writes it."""
    y = conv(m, x)
    order = m.const(np.array([0, 3, 1, 2], np.int32), "INT32")
    y = m.op("TRANSPOSE", [y, order], [spec((1, 3, 4, 4), "FLOAT32")])[0]
    flat = m.const(np.array([1, 3, 16], np.int32), "INT32")
    y = m.op("RESHAPE", [y, flat], [spec((1, 3, 16), "FLOAT32")], {"new_shape": [1, 3, 16]})[0]
    back = m.const(np.array([0, 2, 1], np.int32), "INT32")
    return m.op("TRANSPOSE", [y, back], [spec((1, 16, 3), "FLOAT32")])[0]


def relu_after_add(m: ModelBuilder, x: int) -> int:
    return one(m, "RELU", [one(m, "ADD", [x, conv(m, x)])])


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (relu6_min_relu, ["RELU6"]),
        (relu6_min_max, ["CONV_2D"]),
        (relu6_relu_min, ["RELU6"]),
        (swish_div, ["HARD_SWISH"]),
        (swish_factor, ["HARD_SWISH"]),
        (gelu_products, ["GELU"]),
        (gelu_power, ["GELU"]),
        (norm, ["CONV_2D"]),
        (relu_after_add, ["CONV_2D", "ADD"]),
        (pixels, ["CONV_2D", "RESHAPE"]),
    ],
)
def test_a_form_is_found_and_computes_the_same(body: Body, wanted: list[str]) -> None:
    before = built(body)
    after, applied = rewrite(before)
    assert operators(after) == Counter(wanted)
    assert applied and all(entry.count >= 1 for entry in applied)
    for want, have in zip(outputs(before), outputs(after), strict=True):
        np.testing.assert_allclose(have, want, atol=ROUNDING)
    again, nothing = rewrite(after)
    assert again == after and nothing == ()


def min_five(m: ModelBuilder, x: int) -> int:
    return one(m, "MINIMUM", [one(m, "RELU", [x]), scalar(m, 5.0)])


def swish_of_two(m: ModelBuilder, x: int) -> int:
    gate = one(m, "ADD", [x, scalar(m, 2.0)], fused_activation_function="RELU6")
    return one(m, "DIV", [one(m, "MUL", [x, gate]), scalar(m, 6.0)])


def read_twice(m: ModelBuilder, x: int) -> int:
    first = conv(m, x)
    return one(m, "MUL", [first, one(m, "RELU", [first])])


def activated(m: ModelBuilder, x: int) -> int:
    factors = m.const(np.array([0.5, -2, 3], np.float32), "FLOAT32")
    return one(m, "MUL", [conv(m, x, activation="RELU"), factors])


def per_pixel(m: ModelBuilder, x: int) -> int:
    factors = m.const(np.arange(16, dtype=np.float32).reshape(4, 4, 1), "FLOAT32")
    return one(m, "MUL", [conv(m, x), factors])


@pytest.mark.parametrize("body", [min_five, swish_of_two, read_twice, activated, per_pixel])
def test_what_only_looks_alike_stays(body: Body) -> None:
    before = built(body)
    after, applied = rewrite(before)
    assert after == before and applied == ()


def test_files_and_table_agree() -> None:
    helpers = {"editor", "product", "table"}
    files = {module.name for module in pkgutil.iter_modules(rewrites.__path__)} - helpers
    assert files == {item.name for item in REWRITES}
    for item in REWRITES:
        module = inspect.getmodule(item.apply)
        assert module is not None and module.__name__.endswith(f".{item.name}")


def test_writing_keeps_everything_and_aligns_the_weights() -> None:
    before = built(norm)
    after = write_model(read_model(before))
    first, second = read_model(before), read_model(after)
    for a, b in zip(first.subgraphs[0].tensors, second.subgraphs[0].tensors, strict=True):
        assert (a.name, list(a.shape), a.type) == (b.name, list(b.shape), b.type)
    for a, b in zip(first.buffers, second.buffers, strict=True):
        if a.data is not None:
            raw = np.asarray(a.data, np.uint8).tobytes()
            assert raw == np.asarray(b.data, np.uint8).tobytes()
            assert after.index(raw) % 4 == 0
    for want, have in zip(outputs(before), outputs(after), strict=True):
        np.testing.assert_array_equal(have, want)
