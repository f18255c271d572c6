"""Layers that can be split into a product of smaller ones, and how far: a ladder of ranks each."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgepack.compress.channels import functional
from edgepack.compress.factor import Factors, cp, rank_for, spectrum, svd, tucker2
from edgepack.compress.replace import Chain
from edgepack.types import Array

Kind = Literal["dense", "pointwise", "spatial"]
Form = Literal["svd", "tucker2", "cp"]


@dataclass(frozen=True)
class Rung:
    """Ranks, the weights of the factors, and the share of the kernel's squares that they keep."""

    ranks: tuple[int, ...]
    weights: int
    energy: float


@dataclass(frozen=True, eq=False)
class Splittable:
    """A layer, how it is split, and its rungs, each of more weights than the one before.

    All rungs have fewer weights than the layer. `full` are the ranks that a share of is asked for.
    """

    layer: Any
    kind: Kind
    form: Form
    kernel: Array
    ladder: tuple[Rung, ...]
    full: tuple[int, ...]
    seed: int
    _made: dict[tuple[int, ...], Factors] = field(default_factory=dict)

    def at_energy(self, energy: float) -> Rung | None:
        """The first rung that keeps as much; None: the layer stays whole."""
        return next((rung for rung in self.ladder if rung.energy >= energy - 1e-12), None)

    def at_ratio(self, ratio: float) -> Rung | None:
        """Ranks of a share of the full ones; CP: of at most that share of the weights.

        None: the factors would have no fewer weights than the layer.
        """
        if self.form == "cp":
            limit = ratio * self.kernel.size
            below = [rung for rung in self.ladder if rung.weights <= limit]
            return below[-1] if below else None
        ranks = tuple(max(1, round(ratio * full)) for full in self.full)
        weights = weights_of(self.kernel.shape, self.form, ranks)
        return Rung(ranks, weights, np.nan) if weights < self.kernel.size else None

    def factors(self, rung: Rung) -> Factors:
        """The kernels in place of this layer's; solved for once."""
        if rung.ranks not in self._made:
            self._made[rung.ranks] = self._factors(rung)
        return self._made[rung.ranks]

    def _factors(self, rung: Rung) -> Factors:
        if self.form == "cp":
            return cp(self.kernel, rung.ranks[0], self.seed)
        if self.form == "tucker2":
            return tucker2(self.kernel, *rung.ranks)
        pair = svd(self.kernel.reshape(self.kernel.shape[-2:]), rung.ranks[0])
        window = (1, 1) if self.kind == "pointwise" else ()
        return Factors(tuple(kernel.reshape(*window, *kernel.shape) for kernel in pair.kernels))

    def chain(self, rung: Rung) -> Chain:
        """New layers and their weights: bias and activation go with the last, strides as fit."""
        config, chain = self.layer.get_config(), []
        kernels = self.factors(rung).kernels
        last = len(kernels) - 1
        for index, kernel in enumerate(kernels):
            own = {**config, "name": f"{config['name']}_{'abc'[index]}"}
            own["units" if self.kind == "dense" else "filters"] = kernel.shape[-1]
            if index != last:
                own.update(use_bias=False, activation="linear", bias_regularizer=None)
            if self.kind == "pointwise" and index == last:  # the first factor has the strides
                own["strides"] = (1, 1)
            if self.kind == "spatial" and index != 1:
                own.update(kernel_size=(1, 1), strides=(1, 1), dilation_rate=(1, 1))
                own["padding"] = "valid"
            weights = [np.asarray(kernel)]
            if index == last and config.get("use_bias", True):
                weights.append(np.asarray(self.layer.bias))
            if self.form == "cp" and index == 1:
                chain.append((self._depthwise(own["name"]), weights))
            else:
                chain.append((self.layer.__class__.from_config(own), weights))
        return chain

    def _depthwise(self, name: str) -> Any:
        import keras

        return keras.layers.DepthwiseConv2D(
            self.layer.kernel_size,
            strides=self.layer.strides,
            padding=self.layer.padding,
            dilation_rate=self.layer.dilation_rate,
            use_bias=False,
            name=name,
        )


def splittable(
    model: Any, kinds: Sequence[Kind], skip: Sequence[str], spatial: Form, seed: int
) -> list[Splittable]:
    """What can be split, in the model's order.

    Args:
        model: a Keras model.
        kinds: which layers.
        skip: shell patterns of layer names.
        spatial: the form for convolutions with a window.
        seed: of CP's start.
    """
    found = []
    for layer in functional(model).layers:
        kind = _kind(layer)
        if kind is None or kind not in kinds:
            continue
        if any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in skip):
            continue
        # TensorFlow has no depthwise layer of unequal strides
        if kind == "spatial" and spatial == "cp" and len(set(layer.strides)) > 1:
            continue
        kernel = np.asarray(layer.kernel)
        if kind == "spatial" and spatial == "cp":
            ladder = _cp_ladder(kernel, seed)
            found.append(Splittable(layer, kind, "cp", kernel, ladder, (), seed))
            continue
        ladder, full = _ladder(kernel, kind)
        form: Form = "tucker2" if kind == "spatial" else "svd"
        found.append(Splittable(layer, kind, form, kernel, ladder, full, seed))
    return found


def weights_of(shape: tuple[int, ...], form: Form, ranks: tuple[int, ...]) -> int:
    """Weights of the factors of a kernel [..., inputs, outputs]."""
    *window, inputs, outputs = shape
    positions = int(np.prod(window))
    if form == "svd":
        return ranks[0] * (inputs + outputs)
    if form == "cp":
        return ranks[0] * (inputs + positions + outputs)
    return inputs * ranks[0] + positions * ranks[0] * ranks[1] + ranks[1] * outputs


def _kind(layer: Any) -> Kind | None:
    name = type(layer).__name__
    if name == "Dense":
        return "dense"
    if name != "Conv2D" or layer.groups != 1 or layer.data_format != "channels_last":
        return None
    return "pointwise" if tuple(layer.kernel_size) == (1, 1) else "spatial"


def _ladder(kernel: Array, kind: Kind) -> tuple[tuple[Rung, ...], tuple[int, ...]]:
    """Rungs by SVD, or by Tucker-2 with the same energy along inputs and outputs; full ranks."""
    axes = (2, 3) if kind == "spatial" else (kernel.ndim - 2,)
    spectra = [spectrum(kernel, axis) for axis in axes]
    if kind != "spatial":  # of a matrix both unfoldings have the same, as many as the less
        spectra = [spectra[0][: min(kernel.shape[-2:])]]
    squares = [np.cumsum(values**2) for values in spectra]
    shares = np.unique(np.concatenate([total / (total[-1] or 1.0) for total in squares]))
    form: Form = "tucker2" if kind == "spatial" else "svd"
    rungs: dict[tuple[int, ...], Rung] = {}
    for share in shares.tolist():
        ranks = tuple(rank_for(values, share) for values in spectra)
        weights = weights_of(kernel.shape, form, ranks)
        if weights < kernel.size:
            rungs[ranks] = Rung(ranks, weights, share)
    return tuple(rungs.values()), tuple(len(values) for values in spectra)


def _cp_ladder(kernel: Array, seed: int) -> tuple[Rung, ...]:
    """Rungs by CP at ranks 1, 2, 3, 4, 6, 8, 12, 16, 24...: each has to be solved for."""
    rungs: list[Rung] = []
    whole, kept = float((kernel.astype(np.float64) ** 2).sum()), 0.0
    ranks = sorted({base << power for power in range(16) for base in (1, 3)} | {2})
    for rank in ranks:
        weights = weights_of(kernel.shape, "cp", (rank,))
        if weights >= kernel.size:
            break
        off = kernel - cp(kernel, rank, seed).product()
        # a larger rank can end in a worse place; its rung is then of no use
        share = 1.0 - float((off**2).sum()) / (whole or 1.0)
        if share > kept or not rungs:
            kept = max(share, 0.0)
            rungs.append(Rung((rank,), weights, kept))
    return tuple(rungs)
