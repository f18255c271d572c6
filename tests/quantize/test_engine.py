"""Trained networks quantized as a whole: accuracy, repeatability, other runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate
from edgepack.quantize.evaluate import agreement
from edgepack.quantize.ptq import PtqOptions, PtqResult, calibrate, quantize
from edgepack.quantize.ranges import METHODS, Method
from edgepack.quantize.rules import PRESETS, uniform
from edgepack.types import DType
from tests.oracles import run_tflm
from tests.quantize.samples import (
    CALIBRATION,
    EVALUATION,
    accuracy,
    digits,
    forms,
    network,
    outputs,
)

RECURRENT = ("lstm", "lstm_unrolled", "lstm_fused", "gru", "gru_unrolled")
POINT = 1.0  # percentage points: what issue 7 allows recurrent networks and the rescued one
CHANCE = 10.0  # ten classes


def ptq(name: str, options: PtqOptions | None = None) -> PtqResult:
    shape = (8, 8, 1) if name == "mobile" else (8, 8)
    options = options or PtqOptions()
    return quantize(calibrate(network(name), digits(CALIBRATION, shape)[0], options), options)


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_networks_keep_their_accuracy(name: str) -> None:
    samples, labels = digits(EVALUATION, (8, 8))
    exact = accuracy(network(name), samples, labels)
    got = accuracy(ptq(name).data, samples, labels)
    assert exact > 8 * CHANCE
    assert abs(exact - got) <= POINT


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_unrolled", "lstm_unrolled"])
def test_recurrent_networks_with_16_bit_activations(name: str) -> None:
    samples, labels = digits(EVALUATION, (8, 8))
    options = PtqOptions(rules=uniform("int16x8"), io=DType.INT16)
    exact, got = (accuracy(d, samples, labels) for d in (network(name), ptq(name, options).data))
    assert abs(exact - got) <= POINT


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_recurrent_recipe_comes_nearer_to_float(name: str) -> None:
    samples, _ = digits(EVALUATION, (8, 8))
    exact = outputs(network(name), samples)
    options = PtqOptions(rules=uniform("int8").plus(*PRESETS["recurrent"]))
    plain, better = (
        agreement(exact, outputs(ptq(name, o).data, samples), None).sqnr_db
        for o in (PtqOptions(), options)
    )
    assert plain is not None and better is not None and better > plain + 1.0


def test_a_network_that_plain_quantization_breaks_is_rescued_without_retraining() -> None:
    samples, labels = digits(EVALUATION, (8, 8, 1))
    exact = accuracy(network("mobile"), samples, labels)
    plain = accuracy(ptq("mobile").data, samples, labels)
    rescued = accuracy(ptq("mobile", PtqOptions(equalize=True)).data, samples, labels)
    assert exact > 9 * CHANCE
    assert plain < 3 * CHANCE
    assert abs(exact - rescued) <= POINT


@pytest.mark.parametrize("method", METHODS)
def test_every_calibration_method_keeps_the_accuracy(method: Method) -> None:
    samples, labels = digits(EVALUATION, (8, 8, 1))
    options = PtqOptions(method=method, equalize=True)
    got = accuracy(ptq("mobile", options).data, samples, labels)
    assert got >= accuracy(network("mobile"), samples, labels) - POINT


def test_the_same_input_gives_the_same_bytes() -> None:
    options = PtqOptions(
        method="entropy", equalize=True, bias_correction=True, adaptive_rounding=True
    )
    assert ptq("mobile", options).data == ptq("mobile", options).data


@pytest.mark.needs_oracle
@pytest.mark.parametrize("name", ["mobile", *RECURRENT])
def test_our_runtime_and_tflm_compute_the_same_from_it(name: str, tmp_path: Path) -> None:
    data = ptq(name, PtqOptions(equalize=name == "mobile")).data
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    module = load_tflite(path)
    stored_in = forms(data)[0][0]
    assert stored_in is not None
    shape = (8, 8, 1) if name == "mobile" else (8, 8)
    for (sample,) in digits(slice(1300, 1304), shape)[0]:
        x = stored_in.store(sample)
        ours = evaluate(module, [x])[module.main.outputs[0]]
        np.testing.assert_array_equal(ours, run_tflm(data, [x])[0])


def test_the_ends_have_the_type_that_was_asked_for() -> None:
    samples, labels = digits(EVALUATION, (8, 8))
    native = accuracy(ptq("gru").data, samples, labels)
    for io in (DType.UINT8, DType.FLOAT32, DType.INT16):
        data = ptq("gru", PtqOptions(io=io)).data
        for form in (*forms(data)[0], *forms(data)[1]):
            assert io is (DType.FLOAT32 if form is None else form.dtype)
        assert abs(accuracy(data, samples, labels) - native) <= POINT
