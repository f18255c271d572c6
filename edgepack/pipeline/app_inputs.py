"""How an app fills a model's inputs, and the inputs of golden vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgepack.emit.app import AppTensor, Image
from edgepack.errors import UsageError
from edgepack.models.handle import TensorSpec
from edgepack.models.litert import to_stored
from edgepack.types import Array, DType

GOLDEN_SAMPLES = 3
CANDIDATES = 24  # of which bench/golden.py keeps the ones that kernels agree on best
GOLDEN_SEED = 0
InputKind = Literal["auto", "image", "tensor"]
# The real ranges of quantized inputs that say how pixels were normalized: (lowest, highest) ->
# (mean, std). A step of 1/255 of the range is what calibration may have cut off.
_KNOWN_RANGES = {(0.0, 255.0): (0.0, 1.0), (0.0, 1.0): (0.0, 255.0), (-1.0, 1.0): (127.5, 127.5)}
_RANGE_SLACK = 2 / 255
_GRID = 4  # pictures of golden vectors are smooth between this many random colours a side


@dataclass(frozen=True)
class ImageChoice:
    """What the user said of the input: its kind, and mean and std per channel (or one for all)."""

    kind: InputKind = "auto"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def describe_inputs(
    tensors: Sequence[AppTensor], choice: ImageChoice
) -> tuple[tuple[AppTensor, ...], str | None]:
    """The inputs, those that are pictures with their normalization; and a note for the user.

    Raises:
        UsageError: an input is said to be a picture and cannot be, or nothing says how its pixels
            become the model's values.
    """
    if choice.kind == "tensor":
        if choice.mean or choice.std:
            raise UsageError(
                "--mean and --std say how pixels become an input; --input tensor says it has none"
            )
        return tuple(tensors), None
    asked = choice.kind == "image" or bool(choice.mean or choice.std)
    candidates = [t for t in tensors if _is_picture(t, (1, 3) if asked else (3,))]
    if not candidates:
        if asked:
            shapes = ", ".join("x".join(map(str, t.shape)) for t in tensors)
            raise UsageError(
                f"no input can be a picture: the shapes are {shapes}",
                allowed="1 x height x width x channels, 1 or 3 channels, floats or quantized",
                next_step="leave out --input image, --mean and --std",
            )
        return tuple(tensors), None
    found = {t.field: _normalization(t, choice) for t in candidates}
    missing = [name for name, known in found.items() if known is None]
    if missing and asked:
        raise UsageError(
            f"nothing says how pixels become the values of input {missing[0]}",
            allowed="--mean 0 --std 1 (pixels as they are), --mean 0 --std 255 (0 to 1), "
            "--mean 127.5 --std 127.5 (-1 to 1), or three values each, separated by commas",
        )
    note = None
    if missing:
        note = (
            f"input {missing[0]} looks like a picture; for an API that takes one, say how pixels "
            "become its values: --mean 0 --std 255, for example"
        )
    return tuple(_with_image(t, found.get(t.field)) for t in tensors), note


def _is_picture(tensor: AppTensor, channels: tuple[int, ...]) -> bool:
    shape = tensor.shape
    return tensor.real and len(shape) == 4 and shape[0] == 1 and shape[3] in channels


def _normalization(
    tensor: AppTensor, choice: ImageChoice
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    channels = tensor.shape[3]
    if choice.mean or choice.std:
        mean = _per_channel("--mean", choice.mean or (0.0,), channels)
        std = _per_channel("--std", choice.std or (1.0,), channels)
        if any(value <= 0 or not np.isfinite(value) for value in std):
            raise UsageError(f"--std {_shown(std)} divides by it", allowed="numbers above 0")
        if not np.isfinite(mean).all():
            raise UsageError(f"--mean {_shown(mean)}", allowed="finite numbers")
        return mean, std
    if tensor.scale is None or tensor.zero_point is None:
        return None
    limits = np.iinfo(tensor.dtype.numpy)
    low = (limits.min - tensor.zero_point) * tensor.scale
    high = (limits.max - tensor.zero_point) * tensor.scale
    for (known_low, known_high), (one_mean, one_std) in _KNOWN_RANGES.items():
        slack = _RANGE_SLACK * (known_high - known_low)
        if abs(low - known_low) <= slack and abs(high - known_high) <= slack:
            return (one_mean,) * channels, (one_std,) * channels
    return None


def _per_channel(option: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise UsageError(
            f"{option} has {len(values)} values",
            allowed=f"1, or {channels} for the channels of the input",
        )
    return values * channels if len(values) == 1 else values


def _shown(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _with_image(
    tensor: AppTensor, known: tuple[tuple[float, ...], tuple[float, ...]] | None
) -> AppTensor:
    if known is None:
        return tensor
    _, height, width, channels = tensor.shape
    return replace(tensor, image=Image(height, width, channels, *known))


def golden_inputs(
    tensors: Sequence[AppTensor], given: Sequence[Array] | None
) -> tuple[tuple[Array, ...], Array | None]:
    """Candidates for golden inputs, [n, *shape] as stored; RGBA pixels of the only picture.

    Args:
        tensors: the inputs.
        given: stored samples to take the first ones of; pictures are always made up, because
            golden vectors hold the pixels too.
    """
    rng = np.random.default_rng(GOLDEN_SEED)
    picture = tensors[0].image if len(tensors) == 1 else None
    if picture is not None:
        rgba = np.stack([_rgba(rng, picture) for _ in range(CANDIDATES)])
        real = np.stack([normalize(pixels, picture) for pixels in rgba])
        stored = to_stored(real.reshape(CANDIDATES, *tensors[0].shape), _spec(tensors[0]))
        return (stored,), rgba
    if given is not None:
        return tuple(array[:CANDIDATES] for array in given), None
    return tuple(_random(rng, tensor) for tensor in tensors), None


def normalize(rgba: Array, image: Image) -> Array:
    """What the generated code makes of a picture: float32 [height, width, channels].

    Args:
        rgba: uint8 [height, width, 4].
        image: the input.
    """
    pixels = rgba[..., :3].astype(np.int64)
    if image.channels == 1:  # ITU-R BT.601 luma, in whole numbers as on the phone
        weighted = pixels @ np.array([299, 587, 114])
        pixels = ((weighted + 500) // 1000)[..., np.newaxis]
    real = (pixels - np.array(image.mean)) / np.array(image.std)
    result: Array = real.astype(np.float32)
    return result


def _rgba(rng: np.random.Generator, image: Image) -> Array:
    """A smooth random picture with a little noise, uint8 [height, width, 4]."""
    corners = rng.uniform(0, 255, (_GRID, _GRID, 3))
    rows = np.linspace(0, _GRID - 1, image.height)
    columns = np.linspace(0, _GRID - 1, image.width)
    tall = np.stack([_between(corners, row) for row in rows])
    wide = np.stack([_between(tall.swapaxes(0, 1), column) for column in columns], axis=1)
    noisy = wide + rng.normal(0, 8, wide.shape)
    opaque = np.full((image.height, image.width, 1), 255.0)
    whole = np.concatenate([noisy, opaque], axis=2)
    result: Array = np.rint(whole).clip(0, 255).astype(np.uint8)
    return result


def _between(points: Array, place: float) -> Array:
    below = min(int(place), len(points) - 2)
    share = place - below
    result: Array = points[below] * (1 - share) + points[below + 1] * share
    return result


def _random(rng: np.random.Generator, tensor: AppTensor) -> Array:
    shape = (CANDIDATES, *tensor.shape)
    if tensor.dtype is DType.FLOAT32:
        return rng.standard_normal(shape).astype(np.float32)
    if tensor.quantized:
        limits = np.iinfo(tensor.dtype.numpy)
        return rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype.numpy)
    # 0 and 1 are in range of every index and every truth value
    return rng.integers(0, 2, shape).astype(tensor.dtype.numpy)


def _spec(tensor: AppTensor) -> TensorSpec:
    return TensorSpec(tensor.title, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)
