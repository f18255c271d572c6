"""Which weights of a Keras network a method works on, by their names and paths."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from edgepack.errors import ConfigError

# Keras 3's names of the weights that are multiplied with activations; never biases or norms.
PRUNABLE = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "embeddings")


def prunable(model: Any, skip: Sequence[str], name: str) -> list[Any]:
    """The weight arrays that are multiplied with activations, in the model's own order.

    Args:
        model: a Keras model.
        skip: shell patterns of weight paths to leave out; each must fit some.
        name: of the method, for errors.

    Raises:
        ConfigError: a pattern fits nothing, or nothing is left.
    """
    candidates = [
        variable
        for variable in model.trainable_weights
        if variable.name in PRUNABLE and len(variable.shape) >= 2
    ]
    skipped: set[str] = set()
    for pattern in skip:
        found = {variable.path for variable in candidates if matches(variable.path, pattern)}
        if not found:
            raise ConfigError(
                f"{name}: skip = {pattern!r} matches no weights",
                allowed=", ".join(variable.path for variable in candidates),
            )
        skipped |= found
    chosen = [variable for variable in candidates if variable.path not in skipped]
    if not chosen:
        raise ConfigError(
            f"{name} finds no weights to prune",
            allowed="trainable layers with a " + ", ".join(PRUNABLE) + " that `skip` leaves over",
        )
    return chosen


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern fits a weight's path, or its end: Keras may put the model's name first."""
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"*/{pattern}")
