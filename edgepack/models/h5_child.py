"""Checks of a `.h5` model in the child process, and what Keras 3 needs to read one of Keras 2."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.h5_file import MAX_FILE_BYTES
from edgepack.models.keras_archive import check_config

_CONFIG = "model_config"
_NEXT = "save it again with model.save('model.h5')"


def check_content(path: Path, *, trust_model_code: bool = False) -> None:
    """Refuse a file that is damaged, runs code, reaches outside itself or claims too much.

    Raises:
        ModelError: it is one of the others.
        UnsupportedError: it holds a Lambda layer or a custom class, and is not trusted.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get(_CONFIG)
            check_objects(path, file)
    # h5py raises OSError, KeyError, RuntimeError, ValueError and more for what is damaged
    except (ModelError, UnsupportedError):
        raise
    except Exception as error:
        raise ModelError(f"{path} is damaged: {_first(error)}", next_step=_NEXT) from error
    if text is None:
        raise ModelError(
            f"{path} holds weights without a model: it has no {_CONFIG}",
            next_step="save the whole model with model.save('model.h5'), not only its weights",
        )
    try:
        config = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{_CONFIG} in {path} is not JSON: {error}", next_step=_NEXT) from error
    if not isinstance(config, dict):
        raise ModelError(f"{_CONFIG} in {path} is not a JSON object", next_step=_NEXT)
    check_config(path, config, trust_model_code=trust_model_code)


def check_objects(path: Path, file: Any) -> None:
    """Refuse links and data outside the file, and arrays that it cannot hold.

    Raises:
        ModelError: it has one.
    """
    total = 0
    for name, item in _walk(path, file):
        if item.external or item.is_virtual:
            raise ModelError(f"{path} keeps the data of {name} in another file")
        total += math.prod(item.shape or ()) * item.dtype.itemsize
        if total > MAX_FILE_BYTES:
            raise ModelError(
                f"{path} claims {total:,} bytes of weights", allowed=f"{MAX_FILE_BYTES:,}"
            )


def _walk(path: Path, group: Any) -> Iterator[tuple[str, Any]]:
    import h5py

    pending, seen = [group], 0
    while pending:
        here = pending.pop()
        for name in here:
            seen += 1
            link = here.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink | h5py.SoftLink) or seen > 100_000:
                raise ModelError(f"{path} links from {here.name}/{name} to {link}")
            item = here[name]
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset):
                yield item.name, item


def legacy_objects() -> dict[str, Any]:
    """Keras layers that also take what Keras 2 wrote into their configuration."""
    import keras

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        """Keras 2 wrote `groups`, which Keras 3 does not know; for this layer it says nothing."""

        def __init__(self, *args: Any, groups: int = 1, **options: Any) -> None:
            super().__init__(*args, **options)

    return {"DepthwiseConv2D": DepthwiseConv2D}


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
