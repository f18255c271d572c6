"""Spatial convolutions become separable or pointwise ones, fitted to real activations.

The mathematics and its sources stand in `compress.separable`.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as checked

from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.finetune import recover
from edgepack.compress.layer_inputs import Use, matrix_layers, moments
from edgepack.compress.options import FineTune
from edgepack.compress.replace import Chain, replace_layers
from edgepack.compress.separable import Fit, Patches, pointwise, separable
from edgepack.errors import ConfigError, DataError

NAME = "replace_conv"
DEVICE_SAVING = (
    "flash and instructions, about in proportion to parameters and multiply-accumulates; a "
    "separable pair has an intermediate result, which may cost RAM, and one more kernel call."
)
_TO = ("separable", "pointwise")


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "replace_conv"`; one of the first two is given.

    `max_error` is the share of a layer's responses' variance that its replacement may miss, on
    samples that it was not fitted to; `layers` holds shell patterns of the names of layers to
    replace whatever the error. `to` is what a layer may become: `"separable"` (a depthwise and a
    pointwise convolution, with `multiplier` depthwise filters per channel), `"pointwise"`, or
    `"any"`: the one with fewer weights that is good enough. `samples` of the training split are
    looked at, half to fit and half for the error. `skip` holds patterns of layers to leave alone.
    """

    method: Literal["replace_conv"] = "replace_conv"
    max_error: float | None = Field(default=None, gt=0.0, lt=1.0)
    layers: tuple[str, ...] = ()
    to: Literal["separable", "pointwise", "any"] = "separable"
    multiplier: int = Field(default=1, ge=1, le=16)
    samples: int = Field(default=200, ge=2)
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _one_demand(self) -> Config:
        if (self.max_error is None) == (not self.layers):
            raise ValueError("give either max_error or layers")
        return self


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A layer, what may take its place, and the error of each on other samples; smallest first."""

    layer: Any
    fits: tuple[tuple[str, Fit, float], ...]


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Replace layers and fine-tune; the result is a new Keras model.

    Raises:
        ConfigError: there is no layer to replace, or none is near enough.
        DataError: there are no data.
    """
    if context.data is None:
        raise DataError(f"{NAME} fits to data and has none", allowed="x_train")
    chains: dict[str, Chain] = {}
    changes = []
    for found in _candidates(model, config, context):
        layer, size = found.layer, int(np.prod(found.layer.kernel.shape))
        smaller = [fit for fit in found.fits if fit[1].weights < size]
        limit = np.inf if config.max_error is None else config.max_error
        good = [fit for fit in smaller if fit[2] <= limit]
        shape = tuple(layer.kernel.shape)
        if not good:
            near = min(smaller, key=lambda fit: fit[2], default=None)
            note = "stays: no replacement would be smaller"
            if near is not None:
                note = f"stays: {near[0]} would miss {near[2]:.4f} of the variance"
            changes.append(LayerChange(layer.name, shape, size, 0, note))
            continue
        kind, fit, error = good[0]
        chains[layer.name] = _chain(layer, fit)
        note = f"{kind}, misses {error:.4f} of the variance, was {size:,} weights"
        changes.append(LayerChange(layer.name, shape, fit.weights, 0, note))
    if not chains:
        raise ConfigError(
            f"{NAME}: no layer is replaced: " + "; ".join(f"{c.name} {c.note}" for c in changes),
            allowed="a larger max_error, or layers by name",
        )
    model = replace_layers(model, chains)
    recover(model, config.finetune, context, NAME, config.seed)
    return Outcome(model, tuple(changes), DEVICE_SAVING)


def _candidates(model: Any, config: Config, context: Context) -> list[_Candidate]:
    assert context.data is not None
    uses = [use for use in matrix_layers(model) if _chosen(use, config)]
    if not uses:
        raise ConfigError(
            f"{NAME} finds no layer to replace",
            allowed="Conv2D layers with a window, without groups, channels last, of equal strides"
            + (f", named {', '.join(config.layers)}" if config.layers else ""),
        )
    train = context.data.train
    order = np.random.default_rng(config.seed).permutation(len(train))[: config.samples]
    half = (len(order) + 1) // 2
    if half == len(order):
        raise DataError(f"{NAME} needs two samples at least", allowed="more samples")
    context.progress(NAME, None, f"looking at what {len(uses)} layers read")
    fitted = moments(model, uses, train.take(order[:half]))
    other = moments(model, uses, train.take(order[half:]))
    found = []
    for index, use in enumerate(uses):
        kernel = np.asarray(use.layer.kernel, np.float64)
        flat, judge = kernel.reshape(-1, kernel.shape[-1]), Patches.of(other[index])
        fits = []
        for kind in _TO if config.to == "any" else (config.to,):
            tap = _tap(use)
            if kind == "pointwise" and tap is None:
                continue
            patches = Patches.of(fitted[index])
            if kind == "pointwise":
                assert tap is not None
                fit = pointwise(kernel, patches, tap)
            else:
                fit = separable(kernel, patches, config.multiplier)
            fits.append((kind, fit, judge.error(flat, fit.matrix)))
        fits.sort(key=lambda entry: entry[1].weights)
        found.append(_Candidate(use.layer, tuple(fits)))
        context.progress(NAME, (index + 1) / len(uses), f"fitted {use.layer.name}")
    return found


def _chosen(use: Use, config: Config) -> bool:
    layer = use.layer
    if type(layer).__name__ != "Conv2D" or tuple(layer.kernel_size) == (1, 1):
        return False
    if len(set(layer.strides)) != 1:  # TensorFlow has no depthwise layer of unequal strides
        return False
    if any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in config.skip):
        return False
    return not config.layers or any(
        fnmatch.fnmatchcase(layer.name, pattern) for pattern in config.layers
    )


def _tap(use: Use) -> tuple[int, int] | None:
    """Where in the window the input of a pointwise layer lies that has the same outputs.

    None where there is none: without padding the outputs are fewer than a pointwise layer's, and
    one layer on inputs of several sizes can have several places.
    """
    layer = use.layer
    if layer.padding != "same" or tuple(layer.dilation_rate) != (1, 1):
        return None
    taps = set()
    for node in use.nodes:
        sizes = node.input_tensors[0].shape[1:3]
        if None in sizes:
            return None
        tap = []
        for size, window, stride in zip(sizes, layer.kernel_size, layer.strides, strict=True):
            # TensorFlow's "same": ceil(size / stride) outputs, the odd one of the padding behind
            total = max((-(-size // stride) - 1) * stride + window - size, 0)
            tap.append(total // 2)
        taps.add((tap[0], tap[1]))
    return taps.pop() if len(taps) == 1 else None


def _chain(layer: Any, fit: Fit) -> Chain:
    """New layers and their weights: bias and activation go with the last."""
    import keras

    config = layer.get_config()
    bias = np.asarray(layer.bias) if layer.use_bias else 0.0
    last = {**config, "name": f"{layer.name}_point", "kernel_size": (1, 1), "use_bias": True}
    weights = [np.asarray(fit.pointwise), np.asarray(bias + fit.shift)]
    if fit.depthwise is None:
        return [(layer.__class__.from_config({**last, "padding": "valid"}), weights)]
    last.update(strides=(1, 1), dilation_rate=(1, 1), padding="valid")
    depthwise = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=fit.depthwise.shape[-1],
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        name=f"{layer.name}_depth",
    )
    return [
        (depthwise, [np.asarray(fit.depthwise)]),
        (layer.__class__.from_config(last), weights),
    ]
