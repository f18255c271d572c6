"""A kernel as a product of smaller ones: SVD for matrices, Tucker-2 for spatial convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.types import Array


@dataclass(frozen=True, eq=False)
class Factors:
    """Kernels to apply one after the other."""

    kernels: tuple[Array, ...]


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
