"""Separable convolutions as the two layers that they are, so that their channels can be pruned."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.compress.channels import functional
from edgepack.compress.replace import replace_layers

_KINDS = ("SeparableConv1D", "SeparableConv2D")


def separate(model: Any) -> Any:
    """The same network with a depthwise and a 1x1 layer in place of every separable convolution.

    Converters do the same, so that the device runs what it would have run. A model without such
    layers comes back as it is.
    """
    layers = [x for x in functional(model).layers if type(x).__name__ in _KINDS]
    chains = {
        layer.name: _parts(layer)
        for layer in layers
        if getattr(layer, "data_format", "channels_last") == "channels_last"
    }
    return replace_layers(model, chains) if chains else model


def _parts(layer: Any) -> list[tuple[Any, list[Any]]]:
    import keras

    two = type(layer).__name__ == "SeparableConv2D"
    depthwise = keras.layers.DepthwiseConv2D if two else keras.layers.DepthwiseConv1D
    pointwise = keras.layers.Conv2D if two else keras.layers.Conv1D
    first = depthwise(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        name=f"{layer.name}_depthwise",
    )
    second = pointwise(
        layer.filters,
        1,
        use_bias=layer.use_bias,
        activation=layer.activation,
        name=f"{layer.name}_pointwise",
    )
    bias = [np.asarray(layer.bias)] if layer.use_bias else []
    return [
        (first, [np.asarray(layer.depthwise_kernel)]),
        (second, [np.asarray(layer.pointwise_kernel), *bias]),
    ]
