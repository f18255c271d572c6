"""Checks on the quantization of activations."""

from __future__ import annotations

from edgepack.ir import Tensor
from edgepack.ops.shared.base import NodeView, unsupported


def check_quantized(view: NodeView, *tensors: Tensor) -> None:
    """Refuse tensors whose integers have no usable per-tensor scale.

    Raises:
        UnsupportedError: no quantization, per-channel activations, or a scale of 0.
    """
    for tensor in tensors:
        if tensor.quant is None:
            raise unsupported(view, f"tensor {tensor.name!r} has no quantization parameters")
        if tensor.quant.per_channel:
            raise unsupported(view, f"activations {tensor.name!r} are quantized per channel")
        if tensor.quant.scale[0] <= 0.0:
            raise unsupported(view, f"tensor {tensor.name!r} has scale 0")
