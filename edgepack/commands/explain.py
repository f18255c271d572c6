"""What `edgepack build --explain` prints: per layer the kernel, why, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.manifest import Manifest
    from edgepack.toolchain.elf import Image

_COLUMNS = (
    Column("#", right=True),
    Column("operator"),
    Column("output"),
    Column("kernel"),
    Column("MACs", right=True),
    Column("weights", right=True),
    Column("tables", right=True),
    Column("code", right=True),
    Column("RAM", right=True),
    Column("scratch", right=True),
    Column("why"),
)
SHARED_CODE = "; shared code"  # what emit/sharing.py appends
_NOTE = (
    "weights, tables, code, RAM and scratch in bytes. RAM: what of the arena is in use while the "
    "layer runs, its scratch included. Code: `as N` runs the code of layer N, `inline` is part of "
    "the function that calls it, `-` has none."
)


def read_plan(directory: Path, manifest: Manifest) -> dict[str, Any]:
    """plan.json of a project; layers get `code_bytes`, None where there is no such function.

    Code that several layers share is counted at the first of them; the others have `code_of`, that
    layer's graph and index.
    """
    from edgepack.toolchain import read_image

    plan: dict[str, Any] = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
    image = None if manifest.image is None else read_image(directory / manifest.image)
    first: dict[str, tuple[str, int]] = {}
    for graph in plan["graphs"]:
        for layer in graph["layers"]:
            function = layer["function"]
            layer["code_bytes"] = layer["code_of"] = None
            if function is None or image is None:
                continue
            if function in first:
                layer["code_of"] = list(first[function])
            else:
                first[function] = (graph["name"], layer["index"])
                layer["code_bytes"] = _code_bytes(image, function)
    plan["compiled"] = image is not None
    return plan


def _code_bytes(image: Image, function: str) -> int | None:
    """Bytes of a function and the parts that GCC split off it; None where it was inlined."""
    sizes = [
        size
        for name, (_, size) in image.symbols.items()
        if name == function or name.startswith(f"{function}.")
    ]
    return sum(sizes) if sizes else None


def show_plan(plan: dict[str, Any]) -> None:
    """Print a plan that `read_plan` read."""
    for graph in plan["graphs"]:
        rows = [_row(graph["name"], layer, compiled=plan["compiled"]) for layer in graph["layers"]]
        rows.append(_totals(graph["layers"], compiled=plan["compiled"]))
        title = (
            f"{graph['name']}: arena {graph['arena_bytes']:,} bytes, optimized for "
            f"{plan['optimize']}, features {', '.join(plan['features']) or 'none'}"
        )
        out().table(_COLUMNS, rows, title=title)
    out().line(_NOTE)
    out().line()


def _row(graph: str, layer: dict[str, Any], *, compiled: bool) -> list[str]:
    shapes = ["x".join(map(str, shape[1:] or shape)) for shape in layer["output_shapes"]]
    return [
        str(layer["index"]),
        layer["op"],
        " ".join(shapes),
        layer["kernel"],
        *(_number(layer[key]) for key in ("macs", "weight_bytes", "table_bytes")),
        _code(graph, layer, compiled=compiled),
        *(_number(layer[key]) for key in ("live_bytes", "scratch_bytes")),
        # the column `code` says so better
        layer["reason"].removesuffix(SHARED_CODE) if compiled else layer["reason"],
    ]


def _code(graph: str, layer: dict[str, Any], *, compiled: bool) -> str:
    if not compiled or layer["function"] is None:
        return "-"
    if layer["code_of"] is not None:
        where, index = layer["code_of"]
        return f"as {index}" if where == graph else f"as {where} {index}"
    return "inline" if layer["code_bytes"] is None else f"{layer['code_bytes']:,}"


def _totals(layers: list[dict[str, Any]], *, compiled: bool) -> list[str]:
    sums = {
        key: sum(layer[key] or 0 for layer in layers)
        for key in ("macs", "weight_bytes", "table_bytes", "code_bytes")
    }
    most = {
        key: max((layer[key] for layer in layers), default=0)
        for key in ("live_bytes", "scratch_bytes")
    }
    code = f"{sums['code_bytes']:,}" if compiled else "-"
    return [
        "",
        "in all; RAM: most",
        "",
        "",
        *(_number(sums[key]) for key in ("macs", "weight_bytes", "table_bytes")),
        code,
        *(_number(value) for value in most.values()),
        "",
    ]


def _number(value: int) -> str:
    return f"{value:,}" if value else "-"
