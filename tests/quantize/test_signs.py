"""Schemes of one bit and less: trained, written, and computed as they were trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.models.isolate import has_package, kept_child
from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.pipeline.quantize import oracle_outputs
from edgepack.quantize.books import make_book, to_book
from edgepack.quantize.params import BINARY_WEIGHTS, TERNARY_WEIGHTS, weight_scales
from edgepack.quantize.ptq import PtqOptions, calibrate, quantize
from edgepack.quantize.qat import Trained, train
from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.rules import Rule, Rules, uniform
from edgepack.types import Array
from tests.quantize.small_float import small_float, write_digits
from tests.tflite_builder import ModelBuilder, spec

TRAIN, TEST = 768, 200
FORMS = {
    "binary": ("binary-sign", "subbit-sign", "binary"),
    "ternary": ("ternary-sign", "ternary", "ternary"),
    "trits": ("binary-trit", "ternary-trit", "subbit"),
    "book": ("subbit-sign", "binary-sign", "subbit"),
}


def _rules(first: str, second: str, dense: str) -> Rules:
    return Rules((
        Rule("int8"), Rule(first, scope="first"), Rule(second, scope="second"),
        Rule(dense, scope="dense"),
    ))  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signs") / "digits.npz"
    write_digits(path, TRAIN, TEST)
    return path


@pytest.fixture(scope="module")
def child() -> Iterator[None]:
    with kept_child():
        yield


def _train(form: str, data: Path, folder: Path, epochs: int) -> Trained:
    options = PtqOptions(rules=_rules(*FORMS[form]))
    with np.load(data) as arrays:
        samples = [(row[None],) for row in arrays["x_train"][:40]]
    calibrated = calibrate(small_float(), samples, options)
    qat = QatOptions(epochs=epochs, batch_size=32, learning_rate=1e-2)
    return train(calibrated, options, qat, data, folder, reference=oracle_outputs)


def _kernels(model: bytes) -> list[str]:
    program = build_program(load_tflite(model, name="m"), Isa(optimize="size"))
    return [call.function for call in program.main.lowered if isinstance(call, KernelCall)]


@pytest.mark.skipif(not has_package("tensorflow"), reason="needs TensorFlow")
@pytest.mark.parametrize(
    "form",
    ["binary", *(pytest.param(f, marks=pytest.mark.slow) for f in ("ternary", "trits", "book"))],
)
def test_the_integer_model_computes_what_was_trained(
    form: str, child: None, data: Path, tmp_path: Path
) -> None:
    trained = _train(form, data, tmp_path, 3)
    assert trained.agreement.outputs == 1.0
    assert trained.report["before"]["value"] < 0.2, "random weights know nothing"
    assert trained.report["integer"]["value"] > 0.5
    kernels = _kernels(trained.result.data)
    expected = {
        "binary": ["sums_bits", "codes_bits", "max_pool", "xnor_s8"],
        "ternary": ["sums_bits", "xnor_s8", "sums_s8"],
        "trits": ["sums_bits", "xnor_bits", "max_pool", "codes_s8"],
        "book": ["sums_bits", "xnor_bits", "max_pool", "codes_s8"],
    }[form]
    assert [k.removeprefix("ep_bits_") for k in kernels if k.startswith("ep_bits")] == expected


def test_what_was_rounded_is_not_rounded_again() -> None:
    rng = np.random.default_rng(1)
    factors = rng.uniform(0.01, 3.0, (6, 1)).astype(np.float32)
    for grid, values in ((BINARY_WEIGHTS, [-1, 1]), (TERNARY_WEIGHTS, [-1, 0, 1])):
        units = rng.choice(np.array(values, np.float32), (6, 40))
        weights: Array = units * factors
        scales = weight_scales(weights, grid, 0)
        assert np.array_equal(scales, factors.reshape(-1))
        assert np.array_equal(grid.nearest(weights / scales[:, None]), units)


def test_a_book_has_so_many_vectors_and_keeps_its_own() -> None:
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 0.6, (30, 64)).astype(np.float32)
    units = to_book(weights, 32)
    assert len(np.unique(units.reshape(-1, 8), axis=0)) <= 32
    assert set(np.unique(units)) == {-1.0, 1.0}
    assert np.array_equal(to_book(units, 32), units)
    plain = np.where(weights >= 0, 1.0, -1.0)
    chance = rng.choice(np.array([-1.0, 1.0]), (32, 8))
    nearest = chance[(weights.reshape(-1, 8) @ chance.T).argmax(axis=1)].reshape(weights.shape)
    assert (units == plain).mean() > (nearest == plain).mean() > 0.5
    assert make_book(np.ones((2, 8), np.float32), 32).shape == (32, 8)
    odd = rng.normal(0, 1, (4, 9))
    assert np.array_equal(to_book(odd, 2), np.where(odd >= 0, 1.0, -1.0)), "no eights: binary"


def test_a_sum_that_would_overflow_is_refused() -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 8232), "FLOAT32")
    w = model.const(np.ones((2, 8232), np.float32), "FLOAT32")
    options = {"fused_activation_function": "NONE", "keep_num_dims": False}
    out = spec((1, 2), "FLOAT32", name="y")
    model.output(*model.op("FULLY_CONNECTED", [x, w], [out], options))
    wanted = PtqOptions(rules=uniform("int8").plus(Rule("binary-sign")))
    samples: list[tuple[Array, ...]] = [(np.ones((1, 8232), np.float32),)]
    calibrated = calibrate(model.build(), samples, wanted)
    with pytest.raises(UnsupportedError, match="8232 inputs of an output, whose sum would"):
        quantize(calibrated, wanted)


def test_without_training_signs_are_those_of_the_float_sums(data: Path) -> None:
    options = PtqOptions(rules=_rules("binary-sign", "int8", "int8"))
    with np.load(data) as arrays:
        samples = [(row[None],) for row in arrays["x_train"][:40]]
    made = quantize(calibrate(small_float(), samples, options), options)
    graph = load_tflite(made.data, name="m").main
    first = graph.nodes[0]
    weights, bias = (graph.tensors[i].data for i in first.inputs[1:3])
    assert weights is not None and bias is not None
    assert set(np.unique(weights)) == {-2, 2} and (bias % 2 == 1).all()
