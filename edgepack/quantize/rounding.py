"""Weights rounded so that the layer's output errs least, not each weight by itself.

One input after the other is rounded, and what that does to the output is made up for by the inputs
that are still to come (Frantar et al., "GPTQ", ICLR 2023; LeCun et al., "Optimal brain damage").
"""

from __future__ import annotations

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.models.progress import Progress, silent
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.layer_inputs import (
    from_rows,
    inputs_of,
    options_of,
    rows_of,
    weight_rows,
)
from edgepack.quantize.layers import Adjustments, Layer, layers
from edgepack.quantize.params import WeightGrid
from edgepack.quantize.plan import OpKey, Plan
from edgepack.types import Array

SAMPLES = 64
_LARGEST = 4096  # inputs of a layer; beyond this the matrix of their products is too large
_DAMPING = 0.01  # of the mean square of the inputs, so that the matrix can be inverted


def adapt_rounding(calibrated: Calibrated, plan: Plan, progress: Progress = silent) -> Adjustments:
    """Integers for the weights of every layer that a matrix product describes.

    Args:
        calibrated: the float model and its samples.
        plan: says how weights and inputs are stored.
        progress: told of each sample and layer.
    """
    found = list(layers(read_model(calibrated.data), plan))
    options = options_of(calibrated.data, found)
    products: dict[OpKey, Array] = {}
    samples = calibrated.samples[:SAMPLES]
    for layer, x in inputs_of(calibrated.data, found, samples, progress, "adaptive rounding"):
        if weight_rows(layer, layer.weights).shape[1] > _LARGEST:
            continue
        seen = layer.source.real(layer.source.store(x))  # what the integer kernel will read
        rows = rows_of(layer, seen, options[layer.key])
        if rows is not None:
            product = rows.swapaxes(-1, -2) @ rows
            products[layer.key] = products.get(layer.key, 0.0) + product.astype(np.float64)
    stored = {}
    for layer in found:
        if layer.key in products:
            stored[layer.key] = _round(layer, products[layer.key])
    return Adjustments(stored)


def _round(layer: Layer, products: Array) -> Array:
    rows = weight_rows(layer, layer.weights).astype(np.float64)
    scales = np.broadcast_to(layer.scales.astype(np.float64), (len(rows),))
    if products.ndim == 2:
        result = _compensated(rows, scales, products, layer.grid)
    else:  # every channel of a depthwise convolution has inputs of its own
        result = np.concatenate(
            [
                _compensated(rows[i : i + 1], scales[i : i + 1], product, layer.grid)
                for i, product in enumerate(products)
            ]
        )
    return np.ascontiguousarray(from_rows(layer, result).astype(np.int8))


def _compensated(rows: Array, scales: Array, products: Array, grid: WeightGrid) -> Array:
    """Integers [outputs, inputs] for weights of the same shape.

    Args:
        rows: the weights.
        scales: [outputs].
        products: [inputs, inputs], sums of products of two inputs over what was seen.
        grid: which integers there are.
    """
    size = len(products)
    order = np.argsort(-np.diag(products), kind="stable")
    h = products[np.ix_(order, order)].copy()
    mean = float(np.diag(h).mean())
    if mean <= 0:
        return grid.nearest(rows / scales[:, None])
    h[np.diag_indices(size)] += _DAMPING * mean
    # the upper Cholesky factor of the inverse: row i says how the later inputs make up for input i
    factor = np.linalg.cholesky(np.linalg.inv(h)).T
    left = rows[:, order].copy()
    result = np.empty_like(left)
    for i in range(size):
        result[:, i] = grid.nearest(left[:, i] / scales)
        error = (left[:, i] - result[:, i] * scales) / factor[i, i]
        left[:, i + 1 :] -= np.outer(error, factor[i, i + 1 :])
    back = np.empty_like(result)
    back[:, order] = result
    return back
