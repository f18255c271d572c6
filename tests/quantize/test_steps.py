"""The extra steps: what they promise, on trained networks."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.convert.flatbuffer import read_model
from edgepack.quantize.bias_correction import correct_biases
from edgepack.quantize.equalize import equalize
from edgepack.quantize.layer_inputs import (
    from_rows,
    inputs_of,
    options_of,
    rows_of,
    weight_rows,
)
from edgepack.quantize.layers import Adjustments, layers
from edgepack.quantize.observe import Observer
from edgepack.quantize.plan import make_plan
from edgepack.quantize.ptq import PtqOptions, calibrate
from edgepack.quantize.rules import uniform
from tests.quantize.samples import CALIBRATION, digits, network, outputs

FLOAT_NOISE = 1e-5  # of a softmax output: float32 sums in another order


def test_equalizing_keeps_the_function_and_evens_the_channels() -> None:
    samples, _ = digits(slice(0, 40), (8, 8, 1))
    data = network("mobile")
    even = equalize(data, samples)
    np.testing.assert_allclose(outputs(data, samples), outputs(even, samples), atol=FLOAT_NOISE)

    def spread(content: bytes) -> float:
        """The largest ratio of two live channels' peaks inside one activation."""
        peaks: dict[tuple[int, int], np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        for sample in samples:
            for seen in Observer(content).run(sample):
                if seen.value.ndim == 4 and seen.value.shape[1:3] == (8, 8):
                    top = np.abs(seen.value).max(axis=(0, 1, 2)).astype(np.float64)
                    peaks[seen.key] = np.maximum(peaks.get(seen.key, top), top)
        ratios = [p[p > 0].max() / p[p > 0].min() for p in peaks.values() if (p > 0).sum() > 1]
        return float(np.median(ratios))

    assert spread(data) > 1000
    assert spread(even) < 50


def test_rows_times_weights_is_what_the_layer_computes() -> None:
    samples, _ = digits(slice(0, 3), (8, 8, 1))
    options = PtqOptions()
    made = calibrate(network("mobile"), samples, options)
    model = read_model(made.data)
    found = list(layers(model, make_plan(model, options.rules, made.ranges)))
    assert {layer.op for layer in found} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    settings = options_of(made.data, found)
    seen = {s.key: s.value for s in Observer(made.data).run(samples[0])}
    for layer, x in inputs_of(made.data, found, samples[:1]):
        rows = rows_of(layer, x, settings[layer.key])
        assert rows is not None and layer.bias is not None
        weights = weight_rows(layer, layer.weights)
        np.testing.assert_array_equal(from_rows(layer, weights), layer.weights)
        if rows.ndim == 3:
            got = np.einsum("crk,ck->rc", rows, weights) + layer.bias
        else:
            got = rows @ weights.T + layer.bias
        operator = model.subgraphs[layer.key[0]].operators[layer.key[1]]
        exact = seen[0, int(operator.outputs[0])].reshape(got.shape)
        if operator.builtinOptions.fusedActivationFunction == 1:
            got = np.maximum(got, 0)
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_corrected_biases_take_the_mean_error_out(scheme: str) -> None:
    samples, _ = digits(CALIBRATION, (8, 8, 1))
    options = PtqOptions(rules=uniform(scheme))
    made = calibrate(network("mobile"), samples[:64], options)
    model = read_model(made.data)
    plan = make_plan(model, options.rules, made.ranges)
    found = list(layers(model, plan))
    biases = correct_biases(made, plan, Adjustments()).biases
    assert set(biases) == {layer.key for layer in found}
    settings = options_of(made.data, found)
    errors: dict[tuple[int, int], list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]] = {}
    for layer, x in inputs_of(made.data, found, samples[:64]):
        rows = rows_of(layer, x, settings[layer.key])
        if rows is None or rows.ndim == 3:
            continue
        difference = weight_rows(layer, layer.real(layer.nearest()) - layer.weights)
        errors.setdefault(layer.key, []).append((rows @ difference.T).astype(np.float64))
    for layer in found:
        if layer.key in errors:
            mean = np.concatenate(errors[layer.key]).mean(axis=0)
            assert layer.bias is not None
            corrected = mean + biases[layer.key] - layer.bias
            assert np.abs(corrected).max() <= 0.01 * np.abs(mean).max() + 1e-6
