"""The network that learns: from a file, or derived from another by multipliers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.compress.blocks import shallower
from edgepack.compress.channels import groups, trace
from edgepack.compress.shrink import shrink
from edgepack.errors import ConfigError


def narrower(model: Any, width: float) -> Any:
    """The same network with a share of the channels, at least one in each layer, untrained."""
    import keras

    found = trace(model)
    gone: set[int] = set()
    for group in groups(found):
        gone.update(group.units[max(1, round(width * len(group.units))) :])
    return keras.models.clone_model(shrink(model, found, gone))


def derived(model: Any, width: float | None, depth: float | None) -> Any:
    """A new, untrained network with a share of the blocks, and of the channels of those.

    Raises:
        ConfigError: no block would go.
    """
    if depth is not None:
        model = shallower(model, depth)
    return model if width is None else narrower(model, width)


def existing(folder: Path, name: str, key: str) -> Path:
    """The path of a file or folder that a step names.

    Args:
        folder: that the name is relative to.
        name: as the step has it.
        key: of the step, for the error.

    Raises:
        ConfigError: there is none.
    """
    path = folder / name
    if not path.exists():
        raise ConfigError(f"{key} = {name!r} does not exist", allowed="a model file")
    return path


def load_student(path: Path) -> Any:
    """A Keras model from a file; its weights, trained or not, are what it starts with.

    Raises:
        ConfigError: it is of a format that cannot be trained.
        ModelError: it is damaged.
    """
    from edgepack.models import keras_child
    from edgepack.models.handle import ModelFormat
    from edgepack.models.load import FORMATS, format_of

    kind = format_of(path)
    if kind not in (ModelFormat.KERAS, ModelFormat.KERAS_H5):
        raise ConfigError(
            f"student = {path.name!r} is a {kind.value} model, which cannot be trained",
            allowed="a .keras or .h5 file",
        )
    FORMATS[kind].check(path, False)
    return keras_child.load_keras(path)
