"""Plans and what becomes of them: shared scales, given scales, conversions, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepack.convert.flatbuffer import read_model
from edgepack.errors import ConfigError, ConversionError, UnsupportedError
from edgepack.models.tflite_file import operator_name, text, type_name
from edgepack.quantize.ptq import PtqOptions, calibrate, quantize
from edgepack.quantize.rules import Rule, Rules, uniform
from edgepack.quantize.validate import check_quantized
from edgepack.types import DType
from tests.quantize.samples import Samples, outputs
from tests.tflite_builder import ModelBuilder, spec

RNG = np.random.default_rng(0)
SHAPE = (1, 4, 4, 2)


def samples(count: int = 20) -> Samples:
    rng = np.random.default_rng(1)  # always the same: what was calibrated does not saturate
    return [(rng.normal(size=SHAPE).astype(np.float32),) for _ in range(count)]


class Net:
    """A convolution, and operators added behind it."""

    def __init__(self) -> None:
        self.model = ModelBuilder()
        self.x = self.model.input("x", SHAPE, "FLOAT32")
        self.y = self.conv(self.x, "conv")

    def conv(self, x: int, name: str) -> int:
        w = self.model.const(RNG.normal(size=(2, 1, 1, 2)).astype(np.float32), "FLOAT32")
        b = self.model.const(RNG.normal(size=2).astype(np.float32), "FLOAT32")
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
        return self.model.op("CONV_2D", [x, w, b], [self.spec(name)], options)[0]

    def spec(self, name: str, shape: tuple[int, ...] = SHAPE) -> Any:
        return spec(shape, "FLOAT32", name=name)

    def op(self, op: str, inputs: list[int], name: str, options: Any = None) -> int:
        return self.model.op(op, list(inputs), [self.spec(name)], options or {})[0]

    def build(self, *ends: int) -> bytes:
        self.model.output(*ends)
        return self.model.build()


class Found:
    """A quantized model by the names of its tensors."""

    def __init__(self, data: bytes) -> None:
        self.data, self.model = data, read_model(data)
        main = self.model.subgraphs[0]
        self.tensors = {text(t.name): t for t in main.tensors}
        self.operators = [operator_name(self.model, o) for o in main.operators]

    def form(self, name: str) -> tuple[str, float, int]:
        raw = self.tensors[name]
        q = raw.quantization
        return type_name(raw.type), float(q.scale[0]), int(q.zeroPoint[0])


def ptq(data: bytes, rules: Rules | None = None, **options: Any) -> Found:
    settings = PtqOptions(rules=rules or uniform("int8"), **options)
    result = quantize(calibrate(data, samples(), settings), settings)
    check_quantized(result.data, result.plan, None if settings.io is None else "int8")
    return Found(result.data)


def near(data: bytes, found: Found, decibels: float) -> bool:
    """Whether the outputs stay within a signal-to-noise ratio."""
    given = samples(10)
    exact, got = outputs(data, given), outputs(found.data, given)
    return bool(10 * np.log10((exact**2).sum() / ((got - exact) ** 2).sum()) > decibels)


def test_inputs_and_output_of_a_concatenation_share_a_scale() -> None:
    net = Net()
    other = net.op("RELU", [net.conv(net.y, "second")], "relu")
    joined = net.model.op(
        "CONCATENATION", [net.y, other], [net.spec("joined", (1, 4, 4, 4))], {"axis": 3}
    )[0]
    data = net.build(joined)
    found = ptq(data)
    assert found.form("conv") == found.form("relu") == found.form("joined")
    assert near(data, found, 25)


def test_a_given_scale_stays_and_a_wider_partner_is_not_squeezed_into_it() -> None:
    net = Net()
    gate = net.op("LOGISTIC", [net.y], "gate")
    joined = net.model.op(
        "CONCATENATION", [gate, net.y], [net.spec("joined", (1, 4, 4, 4))], {"axis": 3}
    )[0]
    data = net.build(joined)
    found = ptq(data)
    assert found.form("gate") == ("INT8", 1 / 256, -128)
    assert found.form("conv") == found.form("joined")
    assert found.operators.count("QUANTIZE") == 1
    assert near(data, found, 25)


def test_schemes_meet_in_conversions() -> None:
    net = Net()
    wide = net.op("TANH", [net.conv(net.y, "wide")], "tanh")
    data = net.build(net.conv(net.conv(wide, "kept"), "last"))
    rules = Rules((Rule("int8"), Rule("int16x8", scope="wide|tanh"), Rule("float", scope="kept")))
    found = ptq(data, rules)
    kinds = {name: type_name(found.tensors[name].type) for name in ("conv", "wide", "kept", "last")}
    assert kinds == {"conv": "INT8", "wide": "INT16", "kept": "FLOAT32", "last": "INT8"}
    assert found.form("tanh") == ("INT16", 2.0**-15, 0)
    assert found.operators.count("QUANTIZE") == 2 and found.operators.count("DEQUANTIZE") == 1
    assert near(data, found, 25)


def test_a_dense_layer_alone_gets_one_scale() -> None:
    net = Net()
    flat = net.model.const(np.array([1, 32], np.int32), "INT32")
    x = net.model.op("RESHAPE", [net.y, flat], [net.spec("flat", (1, 32))])[0]
    w = net.model.const(RNG.normal(size=(5, 32)).astype(np.float32), "FLOAT32", name="w")
    out = net.model.op("FULLY_CONNECTED", [x, w, None], [net.spec("out", (1, 5))], {})[0]
    data = net.build(out)
    rules = uniform("int8").plus(Rule("int8-per-tensor", op="FULLY_CONNECTED"))
    assert len(ptq(data, rules).tensors["w"].quantization.scale) == 1
    assert len(ptq(data).tensors["w"].quantization.scale) == 5
    four = ptq(data, uniform("int4"))
    assert type_name(four.tensors["w"].type) == "INT4"
    assert len(four.tensors["w"].quantization.scale) == 1  # what the kernels have
    assert near(data, four, 10)


def test_a_constant_operand_is_stored_for_each_reader() -> None:
    net = Net()
    one = net.model.const(np.ones((1,), np.float32), "FLOAT32", name="one")
    gate = net.op("LOGISTIC", [net.y], "gate")
    data = net.build(net.op("SUB", [one, gate], "rest"))
    found = ptq(data)
    assert near(data, found, 30)
    assert found.form("one")[0] == "INT8"


def test_a_pinned_range_counts() -> None:
    data = Net()
    found = ptq(data.build(data.y), pins={"x": (-1.0, 1.0), "conv": (0.0, 25.5)})
    kind, scale, zero_point = found.form("conv")
    assert (kind, zero_point) == ("INT8", -128) and scale == pytest.approx(0.1)
    assert found.form("x")[1] == pytest.approx(2 / 255)


def test_wrong_pins_are_refused() -> None:
    net = Net()
    data = net.build(net.op("LOGISTIC", [net.y], "gate"))
    with pytest.raises(ConfigError, match="there is no tensor 'cnov'") as error:
        ptq(data, pins={"cnov": (0.0, 1.0)})
    assert "conv" in (error.value.allowed or "")
    with pytest.raises(ConfigError, match="gate"):
        ptq(data, pins={"gate": (0.0, 1.0)})


def test_operators_without_a_kernel_are_all_named_and_may_stay_float() -> None:
    net = Net()
    data = net.build(net.op("SIN", [net.op("COS", [net.y], "cosine")], "sine"))
    with pytest.raises(UnsupportedError) as error:
        ptq(data)
    assert "cosine" in error.value.message and "sine" in error.value.message
    rules = uniform("int8").plus(Rule("float", op="SIN"), Rule("float", op="COS"))
    found = ptq(data, rules, io=None)
    assert found.operators == ["CONV_2D", "DEQUANTIZE", "COS", "SIN"]
    assert near(data, found, 25)


def test_a_float_that_nobody_asked_for_is_found() -> None:
    net = Net()
    data = net.build(net.y)
    settings = PtqOptions()
    plan = quantize(calibrate(data, samples(), settings), settings).plan
    with pytest.raises(ConversionError, match="CONV_2D"):
        check_quantized(data, plan, "int8")


def test_16_bit_activations_have_64_bit_biases() -> None:
    net = Net()
    data = net.build(net.op("ADD", [net.y, net.conv(net.y, "second")], "sum"))
    found = ptq(data, uniform("int16x8"), io=DType.INT16)
    kinds = [type_name(t.type) for t in found.tensors.values()]
    assert "INT64" in kinds and "INT32" not in kinds
    assert near(data, found, 38)
    assert all(q.quantization.zeroPoint[0] == 0 for q in found.tensors.values())


def test_an_output_that_is_the_input_too_keeps_its_place() -> None:
    net = Net()
    data = net.build(net.x, net.y)
    found = ptq(data, io=DType.UINT8)
    main = found.model.subgraphs[0]
    assert int(main.outputs[0]) == int(main.inputs[0])
    assert type_name(main.tensors[int(main.outputs[1])].type) == "UINT8"
