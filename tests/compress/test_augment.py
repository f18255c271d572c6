"""Samples that are changed while a network trains."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.compress.augment import Augmentation
from edgepack.compress.options import Augment
from edgepack.errors import ConfigError
from edgepack.models.dataset import Samples
from edgepack.types import Array

IMAGES = np.arange(200 * 5 * 4 * 2).reshape(200, 5, 4, 2).astype(np.uint8)


def changed(config: Augment | None, epoch: int = 0, seed: int = 3) -> Array:
    samples = Samples((IMAGES,), np.arange(200))
    augmentation = Augmentation(config, samples, seed)
    augmentation.start(epoch)
    result = augmentation(samples)
    assert result.labels is samples.labels
    return result.inputs[0]


def moved(image: Array, down: int, right: int) -> Array:
    rows = np.clip(np.arange(5) + down, 0, 4)
    columns = np.clip(np.arange(4) + right, 0, 3)
    return image[rows][:, columns]


def test_half_of_the_images_are_mirrored() -> None:
    result = changed(Augment(flip=True))
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(result, IMAGES, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(result, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 70 < sum(mirrored) < 130  # binomial of 200: five deviations are 35


def test_images_move_by_up_to_the_shift_each_way() -> None:
    result = changed(Augment(shift=1))
    seen = set()
    for after, before in zip(result, IMAGES, strict=True):
        fitting = [
            (y, x)
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
            if np.array_equal(after, moved(before, y, x))
        ]
        assert len(fitting) == 1
        seen.update(fitting)
    assert len(seen) == 9


def test_noise_has_its_deviation() -> None:
    difference = changed(Augment(noise=2.0)) - IMAGES.astype(np.float32)
    assert abs(difference.std() - 2.0) < 0.1  # of 8,000 values: the error is about 0.016
    assert abs(difference.mean()) < 0.1


def test_the_seed_and_the_epoch_decide() -> None:
    config = Augment(flip=True, shift=1)
    assert np.array_equal(changed(config), changed(config))
    assert not np.array_equal(changed(config), changed(config, epoch=1))
    assert not np.array_equal(changed(config), changed(config, seed=4))
    assert changed(None) is IMAGES


def test_what_is_no_image_is_not_moved() -> None:
    samples = Samples((np.zeros((3, 7), np.float32),), np.zeros(3))
    with pytest.raises(ConfigError, match="augment: one sample"):
        Augmentation(Augment(shift=1), samples, 0)
    Augmentation(Augment(noise=0.1), samples, 0)
