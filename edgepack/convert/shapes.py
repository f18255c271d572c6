"""Fixed shapes: a microcontroller's memory is planned before the program runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from edgepack.errors import UnsupportedError, UsageError
from edgepack.types import Shape

# 1 GB as float32: no device that edgepack builds for holds an input or output of that size.
MAX_ELEMENTS = 2**28


def fixed_shape(name: str, shape: Shape, asked: Shape | None) -> Shape:
    """The shape that an input gets: what the user asked for, else the model's with batch 1.

    Args:
        name: of the input.
        shape: as the model has it; -1 where it is open.
        asked: what `--input-shape` says of this input.

    Raises:
        UsageError: what was asked for contradicts the model.
        UnsupportedError: a dimension other than the batch is open and was not asked for, or the
            tensor is larger than any device's memory.
    """
    if asked is not None:
        fits = len(asked) == len(shape) and all(
            have in (-1, want) for have, want in zip(shape, asked, strict=True)
        )
        if not fits and shape:
            raise UsageError(
                f"--input-shape {name}:{_text(asked)} contradicts the model",
                allowed=f"{_text(shape)}, where ? is open",
            )
        found = asked
    else:
        found = (1 if shape[0] == -1 else shape[0], *shape[1:]) if shape else ()
    if -1 in found:
        example = "x".join("16" if size < 0 else str(size) for size in found)
        raise UnsupportedError(
            f"input {name} has an open dimension: {_text(shape)}",
            allowed="fixed sizes in all dimensions but the first, the batch",
            next_step=f"fix it with --input-shape {name}:{example}",
        )
    check_size(f"input {name}", found)
    return found


def check_batch(name: str, shape: Shape) -> str | None:
    """The warning that an input's batch is not 1; None where it is."""
    if not shape or shape[0] == 1:
        return None
    return (
        f"input {name} has batch {shape[0]}: every inference computes {shape[0]} results at once; "
        f"--input-shape {name}:{_text((1, *shape[1:]))} would fix it at 1"
    )


def check_size(what: str, shape: Shape) -> None:
    """Refuse a tensor that cannot be meant, before memory is taken for it.

    Raises:
        UnsupportedError: it has a size below 1, or more than `MAX_ELEMENTS` elements.
    """
    if any(size < 1 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise UnsupportedError(
            f"{what} has shape {_text(shape)}: {math.prod(shape):,} elements",
            allowed=f"at most {MAX_ELEMENTS:,}",
        )


def check_names(asked: Mapping[str, Shape], inputs: Iterable[str]) -> None:
    """Refuse `--input-shape` for an input that does not exist.

    Raises:
        UsageError: a name that the model has not, or none where it has several inputs.
    """
    names = list(inputs)
    for name in asked:
        if name not in names and (name or len(names) != 1):
            raise UsageError(
                f"--input-shape names {name or 'no input'}, the model has {', '.join(names)}",
                allowed="NAME:1x49x10x1, where NAME is an input of the model",
            )


def parse_input_shape(text: str) -> tuple[str, Shape]:
    """`name:1x49x10x1` or, for a model's only input, `1x49x10x1`.

    Raises:
        UsageError: it has another form.
    """
    name, _, sizes = text.rpartition(":")
    try:
        shape = tuple(int(size) for size in sizes.lower().split("x"))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise UsageError(
            f"--input-shape {text!r} is no shape",
            allowed="NAME:1x49x10x1, or 1x49x10x1 for a model's only input",
        )
    return name, shape


def _text(shape: Iterable[int]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape) or "scalar"
