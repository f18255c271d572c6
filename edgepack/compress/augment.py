"""Training samples that are changed each time they are seen: mirrored, moved, with noise."""

from __future__ import annotations

import numpy as np

from edgepack.compress.options import Augment
from edgepack.errors import ConfigError
from edgepack.models.dataset import Samples
from edgepack.types import Array


class Augmentation:
    """Changes batches; what it does in an epoch depends on the seed and the epoch's number alone.

    Args:
        config: what to do; None does nothing.
        samples: of the training split, whose inputs must be images [n, height, width, channels] to
            be mirrored or moved.
        seed: of all that is drawn.

    Raises:
        ConfigError: an input is no image.
    """

    def __init__(self, config: Augment | None, samples: Samples, seed: int) -> None:
        self._config, self._seed = config, seed
        self._generator = np.random.default_rng()
        if config is None or not (config.flip or config.shift):
            return
        for array in samples.inputs:
            if array.ndim != 4:
                raise ConfigError(
                    f"finetune.augment: one sample has shape {list(array.shape[1:])}",
                    allowed="flip and shift for images [height, width, channels]; noise for all",
                )

    def start(self, epoch: int) -> None:
        """Begin an epoch, counted from 0."""
        self._generator = np.random.default_rng([self._seed, epoch])

    def __call__(self, batch: Samples) -> Samples:
        """The batch as the network is to see it; the one given is not changed."""
        if self._config is None:
            return batch
        draw, config = self._generator, self._config
        inputs = list(batch.inputs)
        if config.flip:
            chosen = draw.random(len(batch)) < 0.5
            inputs = [_mirrored(array, chosen) for array in inputs]
        if config.shift:
            offsets = draw.integers(0, 2 * config.shift + 1, (len(batch), 2))
            inputs = [_moved(array, config.shift, offsets) for array in inputs]
        if config.noise:
            inputs = [
                array.astype(np.float32)
                + draw.normal(0.0, config.noise, array.shape).astype(np.float32)
                for array in inputs
            ]
        return Samples(tuple(inputs), batch.labels)


def _mirrored(images: Array, chosen: Array) -> Array:
    result = images.copy()
    result[chosen] = images[chosen, :, ::-1]
    return result


def _moved(images: Array, most: int, offsets: Array) -> Array:
    """Images moved by up to `most` pixels each way; the border is repeated."""
    around = ((0, 0), (most, most), (most, most), (0, 0))
    padded = np.pad(images, around, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:3], axis=(1, 2))
    moved = windows[np.arange(len(images)), offsets[:, 0], offsets[:, 1]]
    return np.ascontiguousarray(moved.transpose(0, 2, 3, 1))
