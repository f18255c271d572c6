"""min(max(x, 0), 6) in its forms -> RELU6, which the operator before it can do itself."""

from __future__ import annotations

from edgepack.convert.rewrites.editor import Editor, Site

_SIX = 6.0


def apply(editor: Editor) -> int:
    """Rewrite MINIMUM over RELU or MAXIMUM with 0, and RELU or MAXIMUM over MINIMUM with 6."""
    count = 0
    for site in editor.sites("MINIMUM", "MAXIMUM", "RELU"):
        x = _bounded(editor, site)
        inner = None if x is None else editor.producer(site.graph, x)
        if inner is None or editor.only_consumer(site.graph, x or 0) is None:
            continue
        below = _bounded(editor, inner)
        kinds = {_kind(editor, site), _kind(editor, inner)}
        if below is None or kinds != {"floor", "ceiling"}:
            continue
        made = editor.operator("RELU6", [below], editor.outputs(site))
        editor.replace(site, made)
        editor.remove(inner)
        count += 1
    return count


def _kind(editor: Editor, site: Site) -> str:
    """`floor` for max(x, 0), `ceiling` for min(x, 6)."""
    return "ceiling" if editor.name(site.operator) == "MINIMUM" else "floor"


def _bounded(editor: Editor, site: Site) -> int | None:
    """The x of max(x, 0), relu(x) or min(x, 6) on floats; None for anything else."""
    inputs = editor.inputs(site)
    name = editor.name(site.operator)
    if name == "RELU":
        return inputs[0] if editor.is_float(site.graph, inputs[0]) else None
    wanted = {"MINIMUM": _SIX, "MAXIMUM": 0.0}.get(name)
    if wanted is None:
        return None
    for x, limit in (inputs, inputs[::-1]):
        same = editor.shape(site.graph, x) == editor.shape(site.graph, editor.outputs(site)[0])
        if same and editor.scalar(site.graph, limit) == wanted and editor.is_float(site.graph, x):
            return x
    return None
