"""The rewrites, in the order in which they run. A rewrite is a file here and a row below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites import (
    batch_norm,
    flat_transposes,
    fuse_activation,
    gelu,
    hard_swish,
    list_update,
    narrow_indices,
    relu6_forms,
    transposes,
)
from edgepack.convert.rewrites.editor import Editor

Apply = Callable[[Editor], int]


@dataclass(frozen=True)
class Rewrite:
    """A rewrite: `apply` changes the graph and returns at how many places; `what` is for a reader.

    `exact` says that every output byte stays; otherwise results may differ as float additions do
    in another order.
    """

    name: str
    what: str
    apply: Apply
    exact: bool


@dataclass(frozen=True)
class Applied:
    """A rewrite that found something to do, and how often."""

    name: str
    what: str
    count: int
    exact: bool


REWRITES: tuple[Rewrite, ...] = (
    Rewrite("transposes", "TRANSPOSE in pairs or into weights", transposes.apply, exact=False),
    Rewrite("flat_transposes", "TRANSPOSE around a RESHAPE", flat_transposes.apply, exact=True),
    Rewrite("relu6_forms", "minimum and maximum as RELU6", relu6_forms.apply, exact=True),
    Rewrite("hard_swish", "HARD_SWISH from its parts", hard_swish.apply, exact=False),
    Rewrite("gelu", "GELU from its parts", gelu.apply, exact=False),
    Rewrite(
        "batch_norm",
        "factors and offsets in the weights",
        batch_norm.apply,
        exact=False,
    ),
    Rewrite(
        "fuse_activation", "activations in the operator before", fuse_activation.apply, exact=True
    ),
    Rewrite("narrow_indices", "INT64 indices as INT32", narrow_indices.apply, exact=True),
    Rewrite("list_update", "list updates as DYNAMIC_UPDATE_SLICE", list_update.apply, exact=True),
)


def rewrite(data: bytes) -> tuple[bytes, tuple[Applied, ...]]:
    """Apply every rewrite; the bytes stay the same ones where none finds anything to do."""
    model = read_model(data)
    done: dict[str, int] = {}
    editor = Editor(model)
    for item in REWRITES:
        count = item.apply(editor)
        if count:
            done[item.name] = count
            editor.sweep()  # what is left of the parts would count as another reader
    if not done:
        return data, ()
    applied = tuple(
        Applied(item.name, item.what, done[item.name], item.exact)
        for item in REWRITES
        if item.name in done
    )
    return write_model(model), applied
