"""Sliding windows: TFLite's padding rule, shared by convolutions and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
PADDINGS = {0: "SAME", 1: "VALID"}


@dataclass(frozen=True)
class Window:
    """One dimension of a sliding window.

    Args:
        out: output positions; pad: zeros before the first element (the rest follow the last).
    """

    out: int
    pad: int


def window(size: int, kernel: int, stride: int, dilation: int, padding: str) -> Window:
    """Output size and leading padding of one dimension (TFLite's ComputeOutSize and padding)."""
    effective = (kernel - 1) * dilation + 1
    if padding == "SAME":
        out = -(-size // stride)
    else:
        out = -(-(size - effective + 1) // stride)
    pad = max(0, (out - 1) * stride + effective - size)
    return Window(max(out, 0), pad // 2)


def patches(
    x: npt.NDArray[Any],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    vertical: Window,
    horizontal: Window,
    fill: float | int,
) -> npt.NDArray[Any]:
    """All windows of an NHWC array: [n, out_h, out_w, kernel_h, kernel_w, c].

    Positions outside the input read `fill`.
    """
    n, h, w, c = x.shape
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    need_h = (vertical.out - 1) * sh + (kh - 1) * dh + 1
    need_w = (horizontal.out - 1) * sw + (kw - 1) * dw + 1
    padded = np.full(
        (n, max(need_h, vertical.pad + h), max(need_w, horizontal.pad + w), c), fill, x.dtype
    )
    padded[:, vertical.pad : vertical.pad + h, horizontal.pad : horizontal.pad + w] = x
    rows = np.arange(vertical.out)[:, None] * sh + np.arange(kh)[None, :] * dh
    cols = np.arange(horizontal.out)[:, None] * sw + np.arange(kw)[None, :] * dw
    picked: npt.NDArray[Any] = padded[:, rows[:, None, :, None], cols[None, :, None, :], :]
    return picked
