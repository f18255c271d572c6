"""What the layers of a float model read, sample by sample, and as the rows of a matrix product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.models.progress import Progress, silent
from edgepack.quantize.layers import Layer
from edgepack.quantize.observe import Observer
from edgepack.quantize.plan import OpKey
from edgepack.quantize.policy import WEIGHTED
from edgepack.types import Array

_SAME = 0  # schema.fbs Padding


def inputs_of(
    data: bytes,
    layers: Sequence[Layer],
    samples: Sequence[tuple[Array, ...]],
    progress: Progress = silent,
    stage: str = "layers",
) -> Iterator[tuple[Layer, Array]]:
    """Every layer with its input, for each sample (in a loop: each iteration), in float32."""
    graphs = read_model(data).subgraphs
    readers: dict[tuple[int, int], list[Layer]] = {}
    for layer in layers:
        g, position = layer.key
        tensor = int(graphs[g].operators[position].inputs[WEIGHTED[layer.op].x])
        readers.setdefault((g, tensor), []).append(layer)
    observer = Observer(data, only=tuple(readers))
    every = max(1, len(samples) // 20)
    for index, sample in enumerate(samples):
        if index % every == 0:
            progress(stage, index / len(samples), f"sample {index + 1}/{len(samples)}")
        for seen in observer.run(sample):
            for layer in readers.get(seen.key, ()):
                yield layer, seen.value
    progress(stage, 1.0, f"{len(samples)} samples")


def options_of(data: bytes, layers: Sequence[Layer]) -> Mapping[OpKey, Any]:
    """The schema's options of each layer's operator."""
    graphs = read_model(data).subgraphs
    return {k.key: graphs[k.key[0]].operators[k.key[1]].builtinOptions for k in layers}


def rows_of(layer: Layer, x: Array, options: Any) -> Array | None:
    """The input as rows that the layer's weights are multiplied with.

    Returns:
        [rows, inputs] for a dense layer and a convolution, with the weights' order of inputs
        (height, width, channel); [channels, rows, height * width] for a depthwise convolution;
        None for what has no such form here (groups, transposed convolutions).
    """
    if layer.op == "FULLY_CONNECTED":
        return x.reshape(-1, layer.weights.shape[1])
    if layer.op not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return None
    patches = _patches(layer.weights.shape[1:3], x, options)  # [rows, channels, height, width]
    if layer.op == "DEPTHWISE_CONV_2D":
        repeated = np.repeat(patches, int(options.depthMultiplier), axis=1)
        return repeated.reshape(len(repeated), repeated.shape[1], -1).swapaxes(0, 1)
    if layer.weights.shape[3] != x.shape[3]:
        return None
    return patches.transpose(0, 2, 3, 1).reshape(len(patches), -1)


def weight_rows(layer: Layer, weights: Array) -> Array:
    """Weights as [outputs, inputs], in the order of `rows_of`."""
    if layer.op == "DEPTHWISE_CONV_2D":
        return np.moveaxis(weights, 3, 0).reshape(weights.shape[3], -1)
    return weights.reshape(len(weights), -1)


def from_rows(layer: Layer, rows: Array) -> Array:
    """The inverse of `weight_rows`."""
    shape = layer.weights.shape
    if layer.op == "DEPTHWISE_CONV_2D":
        return np.moveaxis(rows.reshape(shape[3], shape[0], shape[1], shape[2]), 0, 3)
    return rows.reshape(shape)


def _patches(kernel: tuple[int, ...], x: Array, options: Any) -> Array:
    strides = int(options.strideH), int(options.strideW)
    dilations = int(options.dilationHFactor), int(options.dilationWFactor)
    padding = [(0, 0)]
    for size, k, s, d in zip(x.shape[1:3], kernel, strides, dilations, strict=True):
        reach = (k - 1) * d + 1
        total = max(0, (-(-size // s) - 1) * s + reach - size)
        padding.append((total // 2, total - total // 2) if options.padding == _SAME else (0, 0))
    padded = np.pad(x, [*padding, (0, 0)])
    reach_h, reach_w = ((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, (reach_h, reach_w), axis=(1, 2))
    view = view[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    return view.reshape(-1, x.shape[3], *kernel)
