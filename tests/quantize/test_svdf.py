"""SVDF: a streaming layer with state, quantized from its float form."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.bench.oracle import tflm_installed
from edgepack.convert.flatbuffer import read_model
from edgepack.errors import UnsupportedError
from edgepack.models.tflite_file import type_name
from edgepack.pipeline.quantize import oracle_outputs
from edgepack.quantize.columns import ends, stored_as
from edgepack.quantize.evaluate import agreement
from edgepack.quantize.ptq import PtqOptions, calibrate, quantize
from edgepack.quantize.svdf import time_scale
from edgepack.types import Array
from tests.ops.test_svdf import svdf_model
from tests.quantize.samples import Samples, outputs

INPUTS, STEPS = 12, 320
LEAST_DB = 25.0  # a third of the samples did not calibrate; measured 27.5 and more


def frames() -> Samples:
    """Steps of a signal that moves slowly, as those of a spectrogram do."""
    noise = np.random.default_rng(2).normal(size=(STEPS + 20, INPUTS))
    smooth = np.apply_along_axis(lambda c: np.convolve(c, np.ones(8) / 8, "valid"), 0, noise)
    return [(row[None].astype(np.float32),) for row in smooth[:STEPS]]


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_quantized_with_its_state(bias: bool) -> None:
    data = svdf_model("FLOAT32", (1, INPUTS, 5, 2, 8), np.random.default_rng(1), bias=bias)
    samples = frames()
    made = quantize(calibrate(data, samples[:200], PtqOptions()), PtqOptions()).data
    (operator,) = read_model(made).subgraphs[0].operators
    tensors = read_model(made).subgraphs[0].tensors
    kinds = [type_name(tensors[i].type) for i in operator.inputs]
    assert kinds == ["INT8", "INT8", "INT16", "INT32", "INT16"]
    exact, got = outputs(data, samples), outputs(made, samples)
    found = agreement(exact, got, None).sqnr_db
    assert found is not None and found > LEAST_DB


def test_without_relu_it_stays_in_float() -> None:
    data = svdf_model("FLOAT32", (1, INPUTS, 4, 1, 3), np.random.default_rng(1), activation="NONE")
    with pytest.raises(UnsupportedError, match="no fused ReLU"):
        quantize(calibrate(data, frames()[:9], PtqOptions()), PtqOptions())


@pytest.mark.needs_oracle
@pytest.mark.skipif(not tflm_installed(), reason="the tflite-micro wheel is compared with")
def test_tensorflow_lite_micro_computes_the_same() -> None:
    data = svdf_model("FLOAT32", (1, INPUTS, 5, 2, 8), np.random.default_rng(1))
    samples = frames()[:60]
    made = quantize(calibrate(data, samples, PtqOptions()), PtqOptions()).data
    form, out = (stored_as(side)[0] for side in ends(made))
    assert form is not None and out is not None
    stored = np.concatenate([form.store(s[0]) for s in samples])
    _, (got,) = oracle_outputs(made, [stored])
    here: Array = outputs(made, samples)
    # LiteRT rounds once where TensorFlow Lite Micro rounds twice
    assert np.abs(out.real(got) - here).max() <= 1.01 * out.scale


def test_sums_over_time_keep_within_32_bits() -> None:
    weights = np.full((2, 10), 0.5, np.float32)
    scale = float(time_scale(weights, 2))
    assert np.rint(weights / scale).sum() * 32767 <= 2**30 * 1.001
    assert float(time_scale(np.zeros((2, 3), np.float32), 1)) == 1.0
