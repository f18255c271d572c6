"""Cheaper convolutions in place of a spatial one, fitted by least squares to what it really reads.

A convolution is a matrix K [window x inputs, outputs] that multiplies patches. With S, the
covariance of the patches, a matrix Q in its place is off by trace((K - Q)' S (K - Q)): no sample
needs to be looked at again. Q is a depthwise kernel times a pointwise one (D[k,i,m] P[i,m,o], each
in turn the solution of a linear least squares problem, the other given), or a pointwise kernel at
one position of the window. What the means differ by goes into the bias. Least squares on responses
as in Jaderberg et al. 2014 (arXiv:1405.3866, section 3.2) and Zhang et al. 2015 (arXiv:1411.4229);
the separable form is MobileNet's (Howard et al. 2017, arXiv:1704.04861).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.types import Array

_SWEEPS = 50  # of the alternating fit
_SETTLED = 1e-6  # relative gain of a sweep below which it ends
_RIDGE = 1e-8  # of the mean variance, added to all: covariances of padded patches are singular


@dataclass(frozen=True, eq=False)
class Patches:
    """What is known of the patches that a convolution reads: covariance and mean, float64."""

    covariance: Array
    mean: Array

    @classmethod
    def of(cls, moments: Array) -> Patches:
        """From second moments with a constant 1 as the last input (`layer_inputs.moments`)."""
        mean = moments[:-1, -1]
        return cls(moments[:-1, :-1] - np.outer(mean, mean), mean)

    def error(self, kernel: Array, other: Array) -> float:
        """The share of the responses' variance that another matrix [patch, outputs] misses."""
        whole = np.einsum("po,pq,qo->", kernel, self.covariance, kernel, optimize=True)
        off = kernel - other
        missed = np.einsum("po,pq,qo->", off, self.covariance, off, optimize=True)
        return float(missed / whole) if whole > 0.0 else 0.0


@dataclass(frozen=True, eq=False)
class Fit:
    """What takes a convolution's place.

    `depthwise` is [h, w, inputs, multiplier], or None for a pointwise kernel alone; `pointwise` is
    [1, 1, inputs x multiplier, outputs]; `matrix` is both as one, [patch, outputs]; `shift` is
    added to the bias.
    """

    depthwise: Array | None
    pointwise: Array
    matrix: Array
    shift: Array

    @property
    def weights(self) -> int:
        """Of both kernels."""
        return int(self.pointwise.size) + (0 if self.depthwise is None else self.depthwise.size)


def separable(kernel: Array, patches: Patches, multiplier: int = 1) -> Fit:
    """A depthwise and a pointwise kernel.

    Args:
        kernel: [h, w, inputs, outputs].
        patches: of the samples to fit to.
        multiplier: depthwise filters of each input.
    """
    h, w, inputs, outputs = kernel.shape
    k, rows = np.asarray(kernel, np.float64).reshape(-1, outputs), inputs * multiplier
    depth, point = _start(k.reshape(h * w, inputs, outputs), multiplier)
    responses = patches.covariance @ k
    ridge = _RIDGE * float(np.trace(patches.covariance)) / len(k)
    before = np.inf
    for _ in range(_SWEEPS):
        spread = _spread(depth)  # [patch, inputs x multiplier]
        inner = spread.T @ patches.covariance @ spread
        point = np.linalg.solve(inner + ridge * np.eye(rows), spread.T @ responses)
        depth = _depth(point, patches.covariance, responses, (h * w, inputs, multiplier), ridge)
        error = patches.error(k, _spread(depth) @ point)
        if before - error < _SETTLED * max(error, _SETTLED):
            break
        before = error
    depth, point = _balanced(depth, point)
    matrix = _spread(depth) @ point
    return Fit(
        depth.reshape(h, w, inputs, multiplier),
        point[None, None],
        matrix,
        (k - matrix).T @ patches.mean,
    )


def pointwise(kernel: Array, patches: Patches, tap: tuple[int, int]) -> Fit:
    """A pointwise kernel that reads one position of the window.

    Args:
        kernel: [h, w, inputs, outputs].
        patches: of the samples to fit to.
        tap: the row and the column of the window.
    """
    _, w, inputs, outputs = kernel.shape
    k = np.asarray(kernel, np.float64).reshape(-1, outputs)
    first = (tap[0] * w + tap[1]) * inputs
    span = slice(first, first + inputs)
    inner = patches.covariance[span, span]
    ridge = _RIDGE * float(np.trace(inner)) / inputs
    point = np.linalg.solve(inner + ridge * np.eye(inputs), patches.covariance[span] @ k)
    matrix = np.zeros_like(k)
    matrix[span] = point
    return Fit(None, point[None, None], matrix, (k - matrix).T @ patches.mean)


def _start(kernel: Array, multiplier: int) -> tuple[Array, Array]:
    """Of each input's [window, outputs] the leading singular vectors: the best fit to white noise.

    Returns:
        [window, inputs, multiplier] and [inputs x multiplier, outputs].
    """
    u, s, v = np.linalg.svd(kernel.transpose(1, 0, 2), full_matrices=False)
    depth = u[:, :, :multiplier].transpose(1, 0, 2)
    point = s[:, :multiplier, None] * v[:, :multiplier]
    return depth, point.reshape(-1, kernel.shape[2])


def _spread(depth: Array) -> Array:
    """A depthwise kernel [window, inputs, multiplier] as a matrix [patch, inputs x multiplier]."""
    window, inputs, multiplier = depth.shape
    eye = np.eye(inputs)
    spread = np.einsum("kim,ij->kijm", depth, eye)
    return np.asarray(spread.reshape(window * inputs, inputs * multiplier))


def _depth(
    point: Array, covariance: Array, responses: Array, shape: tuple[int, int, int], ridge: float
) -> Array:
    """The depthwise kernel that fits best to a pointwise one."""
    window, inputs, multiplier = shape
    size = window * inputs * multiplier
    inner = (point @ point.T).reshape(inputs, multiplier, inputs, multiplier)
    s = covariance.reshape(window, inputs, window, inputs)
    left = np.einsum("kilj,imjn->kimljn", s, inner).reshape(size, size)
    p = point.reshape(inputs, multiplier, -1)
    right = np.einsum("kio,imo->kim", responses.reshape(window, inputs, -1), p).reshape(size)
    scale = float(np.trace(inner.reshape(inputs * multiplier, -1))) / (inputs * multiplier)
    solved = np.linalg.solve(left + ridge * scale * np.eye(size), right)
    return np.asarray(solved.reshape(shape))


def _balanced(depth: Array, point: Array) -> tuple[Array, Array]:
    """The same product with depthwise filters whose largest weights are of one size.

    One scale per filter goes from one kernel into the other. Filters of like ranges are what int8
    activations between them need.
    """
    largest = np.abs(depth).max(axis=0)  # [inputs, multiplier]
    scale = np.where(largest > 0.0, largest, 1.0)
    return depth / scale, point * scale.reshape(-1, 1)
