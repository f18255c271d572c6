"""The rewrites, in the order in which they run. A rewrite is a file here and a row below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgepack.convert.flatbuffer import read_model, write_model
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


REWRITES: tuple[Rewrite, ...] = ()


def rewrite(data: bytes) -> tuple[bytes, tuple[Applied, ...]]:
    """Apply every rewrite; the bytes stay the same ones where none finds anything to do."""
    model = read_model(data)
    done: dict[str, int] = {}
    editor = Editor(model)
    for item in REWRITES:
        count = item.apply(editor)
        if count:
            done[item.name] = count
    if not done:
        return data, ()
    applied = tuple(
        Applied(item.name, item.what, done[item.name], item.exact)
        for item in REWRITES
        if item.name in done
    )
    editor.sweep()
    return write_model(model), applied
