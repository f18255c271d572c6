"""x * relu6(x + 3) / 6 in its forms -> HARD_SWISH (Howard et al. 2019, MobileNetV3)."""

from __future__ import annotations

from edgepack.convert.rewrites.editor import Editor
from edgepack.convert.rewrites.product import Product, product


def apply(editor: Editor) -> int:
    """Rewrite products of x, RELU6(x + 3) and 1/6, in any order."""
    count = 0
    for site in editor.sites("MUL", "DIV"):
        found = product(editor, site)
        if found is None or abs(found.factor * 6.0 - 1.0) > 1e-6:
            continue
        x = _swished(editor, found)
        if x is None:
            continue
        from ai_edge_litert import schema_py_generated as schema

        outputs = editor.outputs(site)
        made = editor.operator("HARD_SWISH", [x], outputs, schema.HardSwishOptionsT())
        editor.replace(site, made)
        count += 1
    return count


def _swished(editor: Editor, found: Product) -> int | None:
    """The x of a product of x and RELU6(x + 3); None for anything else."""
    if len(found.terms) != 2:
        return None
    for x, other in (found.terms, found.terms[::-1]):
        base = _relu6_of(editor, found, other)
        if base is not None and editor.plus(found.graph, base, 3.0) == x:
            return x
    return None


def _relu6_of(editor: Editor, found: Product, tensor: int) -> int | None:
    """The tensor that RELU6 (or an ADD that fuses it) is over."""
    maker = editor.producer(found.graph, tensor)
    if maker is None:
        return None
    if editor.name(maker.operator) == "RELU6":
        return editor.inputs(maker)[0]
    options = maker.operator.builtinOptions
    fused = editor.name(maker.operator) == "ADD" and options.fusedActivationFunction == 3
    return tensor if fused else None
