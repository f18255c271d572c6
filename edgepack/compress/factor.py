"""A kernel as a product of smaller ones: SVD for matrices, Tucker-2 and CP for convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.types import Array

_RIDGE = 1e-9  # of the mean of the diagonal
_SETTLED = 1e-5  # gain of a sweep, of the kernel's squares, below which it ends
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Factors:
    """Kernels to apply one after the other."""

    kernels: tuple[Array, ...]

    def product(self) -> Array:
        """The one kernel that they amount to."""
        if len(self.kernels) == 2:
            return np.asarray(self.kernels[0] @ self.kernels[1])
        a, middle, b = self.kernels
        h, w, _, _ = middle.shape
        if middle.shape[3] == 1 and b.shape[2] == a.shape[3]:  # depthwise: nothing to sum over
            scaled = middle.reshape(h * w, 1, -1) * a[0, 0]
        else:
            scaled = a[0, 0] @ middle.reshape(h * w, *middle.shape[2:])
        return np.asarray((scaled @ b[0, 0]).reshape(h, w, a.shape[2], b.shape[3]))


def svd(matrix: Array, rank: int) -> Factors:
    """The nearest product [inputs, rank] x [rank, outputs] to a matrix [inputs, outputs].

    The singular values are shared evenly: both factors then have like ranges, which int8 needs.
    """
    u, s, v = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    root = np.sqrt(s[:rank])
    return Factors((u[:, :rank] * root, root[:, None] * v[:rank]))


def tucker2(kernel: Array, rank_in: int, rank_out: int) -> Factors:
    """1x1, spatial and 1x1 kernels in place of a spatial one [h, w, in, out].

    Truncated higher-order SVD along the inputs and outputs (Kim et al. 2016, "Compression of deep
    convolutional neural networks for fast and low power mobile applications", arXiv:1511.06530).

    Returns:
        [1, 1, in, rank_in], [h, w, rank_in, rank_out], [1, 1, rank_out, out].
    """
    array = np.asarray(kernel, np.float64)
    a = _leading(array, 2, rank_in)
    b = _leading(array, 3, rank_out)
    core = np.einsum("hwio,ir,os->hwrs", array, a, b)
    return Factors((a[None, None], core, b.T[None, None]))


def cp(kernel: Array, rank: int, seed: int, sweeps: int = 60) -> Factors:
    """1x1, depthwise and 1x1 kernels in place of a spatial one [h, w, in, out].

    The canonical polyadic decomposition along window, inputs and outputs by alternating least
    squares (Lebedev et al. 2015, "Speeding-up convolutional neural networks using fine-tuned
    CP-decomposition", arXiv:1412.6553; there the window's two axes are apart, which makes one more
    layer). What a sweep solves for has a small ridge: without it terms can grow without bound
    against each other.

    Args:
        kernel: of any sizes.
        rank: terms of the sum.
        seed: of the start.
        sweeps: at most.

    Returns:
        [1, 1, in, rank], [h, w, rank, 1], [1, 1, rank, out], each term shared evenly by the three.
    """
    h, w, inputs, outputs = kernel.shape
    tensor = np.asarray(kernel, np.float64).reshape(h * w, inputs, outputs)
    axes = enumerate(tensor.shape)
    unfolded = [np.moveaxis(tensor, axis, 0).reshape(size, -1) for axis, size in axes]
    generator = np.random.default_rng(seed)
    parts: list[Array] = [generator.normal(size=(size, rank)) for size in tensor.shape]
    size, before = float((tensor**2).sum()), np.inf
    for _ in range(sweeps):
        for axis in range(3):
            one, two = (parts[other] for other in range(3) if other != axis)
            gram = (one.T @ one) * (two.T @ two)
            gram += _RIDGE * np.trace(gram) / rank * np.eye(rank)
            # all products of a row of one and a row of the other, in the order of the unfolding
            products = (one[:, None] * two[None]).reshape(-1, rank)
            parts[axis] = np.linalg.solve(gram, (unfolded[axis] @ products).T).T
        error = float(((unfolded[2] - parts[2] @ products.T) ** 2).sum())
        if before - error < _SETTLED * size:
            break
        before = error
    lengths = [np.maximum(np.linalg.norm(part, axis=0), _TINY) for part in parts]
    even = np.cbrt(np.prod(lengths, axis=0))
    window, a, b = (part / length * even for part, length in zip(parts, lengths, strict=True))
    return Factors((a[None, None], window.reshape(h, w, rank, 1), b.T[None, None]))


def spectrum(kernel: Array, axis: int) -> Array:
    """The singular values of a kernel unfolded along an axis, largest first."""
    unfolded = np.moveaxis(np.asarray(kernel, np.float64), axis, 0).reshape(kernel.shape[axis], -1)
    return np.asarray(np.linalg.svd(unfolded, compute_uv=False))


def rank_for(values: Array, energy: float) -> int:
    """The least rank that keeps a share of the sum of squared singular values; at least 1."""
    squares = np.cumsum(values**2)
    if squares[-1] == 0.0:
        return 1
    # a hair less: the sum of all may fall short of itself by a rounding
    return int(np.searchsorted(squares, (energy - 1e-12) * squares[-1]) + 1)


def _leading(array: Array, axis: int, rank: int) -> Array:
    unfolded = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    u = np.linalg.svd(unfolded, full_matrices=False)[0]
    return np.asarray(u[:, :rank])
