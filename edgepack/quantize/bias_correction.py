"""The mean error of a layer's output, which rounding of its weights brings, out of its bias.

Nagel et al., ICCV 2019, section 4.2; here with the inputs that were seen, not assumed ones.
"""

from __future__ import annotations

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.models.progress import Progress, silent
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.layer_inputs import inputs_of, options_of, rows_of, weight_rows
from edgepack.quantize.layers import Adjustments, layers
from edgepack.quantize.plan import OpKey, Plan
from edgepack.types import Array

SAMPLES = 64  # means settle with far fewer samples than extremes


def correct_biases(
    calibrated: Calibrated, plan: Plan, adjustments: Adjustments, progress: Progress = silent
) -> Adjustments:
    """Biases without the mean error of the weights as stored.

    Args:
        calibrated: the float model and its samples.
        plan: says how weights are stored.
        adjustments: integers of weights that are not the nearest ones.
        progress: told of each sample.
    """
    found = list(layers(read_model(calibrated.data), plan))
    options = options_of(calibrated.data, found)
    sums: dict[OpKey, Array] = {}
    counts: dict[OpKey, int] = {}
    samples = calibrated.samples[:SAMPLES]
    for layer, x in inputs_of(calibrated.data, found, samples, progress, "bias correction"):
        rows = rows_of(layer, x, options[layer.key])
        if rows is None:
            continue
        sums[layer.key] = sums.get(layer.key, 0.0) + rows.sum(axis=-2, dtype=np.float64)
        counts[layer.key] = counts.get(layer.key, 0) + rows.shape[-2]
    biases = dict(adjustments.biases)
    for layer in found:
        if layer.key not in sums:
            continue
        stored = adjustments.stored.get(layer.key)
        stored = layer.nearest() if stored is None else stored
        error = weight_rows(layer, layer.real(stored).astype(np.float64) - layer.weights)
        mean = sums[layer.key] / counts[layer.key]
        shift = (error * mean).sum(axis=1)  # of each output: E[(W' - W) x]
        old = np.zeros(len(shift)) if layer.bias is None else layer.bias.reshape(-1)
        biases[layer.key] = (old - shift).astype(np.float32)
    return Adjustments(adjustments.stored, biases)
