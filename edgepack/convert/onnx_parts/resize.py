"""Resize in all its modes, where TFLite's two operators compute something else.

Resizing an axis of a known size is a product with a known matrix; for the mode `nearest` it is a
choice of indices. The rows of the matrix follow onnx Operators.md, Resize.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.convert.onnx_parts.parts import Parts
from edgepack.types import Array


@dataclass(frozen=True)
class _Axis:
    """One axis that changes: sizes, the exact factor, and its part of the region of interest."""

    index: int
    size: int
    out: int
    scale: float
    start: float
    end: float


def resize(p: Parts) -> bool:
    """Products with matrices, or indices, unless TFLite has an operator for it."""
    axes = _axes(p)
    if axes is None or _is_native(p, axes):
        return False
    x, inside = p.inputs[0], np.ones(())
    for axis in axes:
        places = _places(p, axis)
        if p.text("mode", "nearest") == "nearest":
            chosen = _nearest(p.text("nearest_mode", "round_prefer_floor"), places)
            x = p.node(
                "Gather", x, p.integers(chosen.clip(0, axis.size - 1).tolist()), axis=axis.index
            )
            matrix = np.ones((axis.out, 1))
        else:
            matrix = np.stack([_row(p, axis, float(place)) for place in places])
        held = (places >= 0) & (places <= axis.size - 1)
        cropped = p.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
        if not cropped:
            held[:] = True
        shape = [1] * len(p.shape())
        shape[axis.index] = -1
        inside = inside * held.reshape(shape)
        if p.text("mode", "nearest") != "nearest":
            x = _multiplied(p, x, axis, matrix)
    if not inside.all():
        x = p.node("Mul", x, p.constant(inside.astype(np.float32)))
        beyond = (1 - inside) * float(p.attributes.get("extrapolation_value", 0.0))
        x = p.node("Add", x, p.constant(beyond.astype(np.float32)))
    p.node("Identity", x, output=p.outputs[0])
    return True


def _multiplied(p: Parts, x: str, axis: _Axis, matrix: Array) -> str:
    """The product along one axis, as a dense layer over the last."""
    rank = len(p.shape())
    order = list(range(rank))
    order[axis.index], order[-1] = order[-1], order[axis.index]
    weights = p.constant(matrix.T.astype(np.float32))
    if axis.index == rank - 1:
        return p.node("MatMul", x, weights)
    turned = p.node("MatMul", p.node("Transpose", x, perm=order), weights)
    return p.node("Transpose", turned, perm=order)


def _axes(p: Parts) -> list[_Axis] | None:
    """The axes that change; None for forms that are left to onnx2tf."""
    if p.opset < 11 or p.kind(0) != 1:
        return None
    shape, out = p.shape(), p.output_shape()
    rank = len(shape)
    named = [int(axis) % rank for axis in p.attributes.get("axes", range(rank))]
    scales, sizes, roi = p.value(2), p.value(3), p.value(1)
    if scales is None and sizes is None:
        return None
    if sizes is not None and sizes.size:
        factors = [int(s) / shape[axis] for axis, s in zip(named, sizes, strict=True)]
        policy = p.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            kept = min(factors) if policy == "not_larger" else max(factors)
            factors = [kept] * len(factors)
    elif scales is not None:
        factors = [float(s) for s in scales]
    found = []
    for place, axis in enumerate(named):
        limits = (0.0, 1.0)
        if roi is not None and roi.size == 2 * len(named):
            limits = float(roi[place]), float(roi[place + len(named)])
        if out[axis] != shape[axis] or limits != (0.0, 1.0) or factors[place] != 1:
            found.append(_Axis(axis, shape[axis], out[axis], factors[place], *limits))
    return found


def _is_native(p: Parts, axes: list[_Axis]) -> bool:
    """Whether RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR compute the same, over two image axes."""
    if len(p.shape()) != 4 or not {axis.index for axis in axes} <= {2, 3}:
        return False
    mode = p.text("mode", "nearest")
    place = p.text("coordinate_transformation_mode", "half_pixel")
    exact = all(np.isclose(a.scale, a.out / a.size, rtol=1e-6, atol=0) for a in axes)
    if mode == "linear":
        smaller = any(axis.out < axis.size for axis in axes)
        known = place in ("half_pixel", "align_corners", "asymmetric") or (
            place == "pytorch_half_pixel" and all(axis.out > 1 for axis in axes)
        )
        return exact and known and not (smaller and p.attributes.get("antialias", 0))
    floors = p.text("nearest_mode", "round_prefer_floor") == "floor"
    return mode == "nearest" and exact and place == "asymmetric" and floors


def _places(p: Parts, axis: _Axis) -> Array:
    """Where each output lies on the input's axis."""
    mode = p.text("coordinate_transformation_mode", "half_pixel")
    i = np.arange(axis.out, dtype=np.float64)
    half = (i + 0.5) / axis.scale - 0.5
    if mode == "half_pixel":
        return half
    if mode == "pytorch_half_pixel":
        return half if axis.out > 1 else np.zeros(1)
    if mode == "half_pixel_symmetric":
        exact = axis.size * axis.scale
        return axis.size / 2 * (1 - axis.out / exact) + half
    if mode == "align_corners":
        return i * (axis.size - 1) / (axis.out - 1) if axis.out > 1 else np.zeros(1)
    if mode == "tf_crop_and_resize":
        if axis.out == 1:
            return np.array([0.5 * (axis.start + axis.end) * (axis.size - 1)])
        step = (axis.end - axis.start) * (axis.size - 1) / (axis.out - 1)
        return axis.start * (axis.size - 1) + i * step
    return i / axis.scale  # asymmetric


def _nearest(mode: str, places: Array) -> Array:
    rounded = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }[mode]
    return rounded.astype(np.int64)


def _row(p: Parts, axis: _Axis, place: float) -> Array:
    """How much of each input is in the output at a place."""
    shrink = min(axis.scale, 1.0) if p.attributes.get("antialias", 0) else 1.0
    reach = (1 if p.text("mode", "nearest") == "linear" else 2) / shrink
    first = int(np.floor(place - reach)) + 1
    near = np.arange(first, int(np.ceil(place + reach)))
    distance = np.abs(near - place) * shrink
    if p.text("mode", "nearest") == "linear":
        weights = np.clip(1 - distance, 0, 1)
    else:
        weights = _cubic(distance, float(p.attributes.get("cubic_coeff_a", -0.75)))
    if p.attributes.get("exclude_outside", 0):
        weights = weights * ((near >= 0) & (near < axis.size))
    weights = weights / weights.sum()
    row = np.zeros(axis.size)
    np.add.at(row, near.clip(0, axis.size - 1), weights)
    return row


def _cubic(distance: Array, a: float) -> Array:
    """Keys's kernel (1981), which is what ONNX and PyTorch use."""
    d = distance
    close = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights: Array = np.where(d <= 1, close, np.where(d < 2, far, 0.0))
    return weights
