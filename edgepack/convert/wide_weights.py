"""Weights that reach beyond int8 around their zero point, as int8 weights with zero point 0.

int8 kernels multiply by the stored weight, without a zero point. `stored - zero_point` is the same
weight without one, and needs nine bits where the zero point is not in the middle. Such a weight is
the sum of two or three that int8 holds: its input channel is read as often, and the accumulator is
the same number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import UnsupportedError
from edgepack.types import Array

_LIMITS = np.iinfo(np.int8)


def around_zero(stored: Array, zero: Array, axis: int) -> Array:
    """Stored weights less their zero point, one or one per index of `axis`, as int32."""
    shape = [1] * stored.ndim
    if zero.size > 1:
        shape[axis] = -1
    moved: Array = stored.astype(np.int32) - zero.astype(np.int32).reshape(shape)
    return moved


def split(real: Array, axis: int) -> tuple[Array, list[int]]:
    """Integers of -255 to 255 as int8 weights over more input channels.

    Args:
        real: the weights.
        axis: counts input channels.

    Returns:
        int8 weights, longer along `axis`, and which channels their additional entries read.
    """
    others = tuple(i for i in range(real.ndim) if i != axis)
    parts, extra = [real.clip(_LIMITS.min, _LIMITS.max)], []
    channels = np.arange(real.shape[axis])
    rest = real - parts[0]
    while rest.any():
        beyond = np.flatnonzero(rest.any(axis=others))
        channels, rest = channels[beyond], np.take(rest, beyond, axis=axis)
        parts.append(rest.clip(_LIMITS.min, _LIMITS.max))
        extra += [int(channel) for channel in channels]
        rest = rest - parts[-1]
    return np.concatenate(parts, axis=axis).astype(np.int8), extra


def grouped(real: Array, multiplier: int) -> tuple[Array, list[int]]:
    """Depthwise weights of -255 to 255 as those of a CONV_2D with a group per input channel.

    Args:
        real: of shape 1, rows, columns, channels times `multiplier`.
        multiplier: outputs per input channel.

    Returns:
        int8 weights of shape outputs, rows, columns, copies, and which channel of the input each
        channel of the convolution's input reads.
    """
    columns = np.moveaxis(real, 3, 0)  # outputs, 1, rows, columns
    made, extra = split(columns.reshape(-1, *columns.shape[2:], 1), 3)
    channels = real.shape[3] // multiplier
    copies = 1 + len(extra)
    return made, [channel for channel in range(channels) for _ in range(copies)]


def read_channels(editor: Editor, graph: Any, tensor: int, order: list[int]) -> tuple[Any, int]:
    """A GATHER, in no graph yet, of some channels (last axis) of a tensor; and its output."""
    from ai_edge_litert import schema_py_generated as schema

    shape = editor.shape(graph, tensor)
    indices = editor.add_constant(graph, np.array(order, np.int32), "channels")
    made = editor.add_tensor(graph, (*shape[:-1], len(order)), tensor, "channels_again")
    options = schema.GatherOptionsT()
    options.axis = len(shape) - 1
    return editor.operator("GATHER", [tensor, indices], [made], options), made


def read_again(
    editor: Editor, graph: Any, tensor: int, extra: list[int], inputs: int
) -> tuple[Any, int]:
    """The same for a dense layer or a convolution: all channels, and some of them again.

    Raises:
        UnsupportedError: the tensor's last axis is not the weights' `inputs` channels.
    """
    shape = editor.shape(graph, tensor)
    if shape[-1] != inputs:
        raise UnsupportedError(
            f"a dense layer or grouped convolution over {list(shape)} has weights beyond int8 "
            "around their zero point",
            allowed="such weights over the last axis",
            next_step="quantize again with symmetric weights",
        )
    return read_channels(editor, graph, tensor, [*range(inputs), *extra])


def plain_convolution(options: Any) -> Any:
    """The options of a CONV_2D that takes the place of a DEPTHWISE_CONV_2D."""
    from ai_edge_litert import schema_py_generated as schema

    made = schema.Conv2DOptionsT()
    for name in (
        "padding", "strideW", "strideH", "dilationWFactor", "dilationHFactor",
        "fusedActivationFunction",
    ):  # fmt: skip
        setattr(made, name, getattr(options, name))
    return made
