"""RELU, RELU6 and RELU_N1_TO_1 behind an operator that can do it itself."""

from __future__ import annotations

from typing import Any

from edgepack.convert.rewrites.editor import Editor, Site

# operators whose options hold a fused activation (schema.fbs)
FUSING = (
    "ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "FULLY_CONNECTED",
    "MAX_POOL_2D", "MUL", "SUB", "TRANSPOSE_CONV",
)  # fmt: skip
# operator -> the value of schema.fbs's ActivationFunctionType
_ACTIVATIONS = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_NONE = 0


def apply(editor: Editor) -> int:
    """Fuse where nothing else reads the tensor between, and both store values alike."""
    count = 0
    for site in editor.sites(*_ACTIVATIONS):
        (before,), (after,) = editor.inputs(site), editor.outputs(site)
        maker = editor.producer(site.graph, before)
        if maker is None or editor.name(maker.operator) not in FUSING:
            continue
        options = maker.operator.builtinOptions
        if options is None or options.fusedActivationFunction != _NONE:
            continue
        if editor.only_consumer(site.graph, before) is None or not _alike(editor, site):
            continue
        options.fusedActivationFunction = _ACTIVATIONS[editor.name(site.operator)]
        editor.set_outputs(maker, [after])
        editor.remove(site)
        count += 1
    return count


def _alike(editor: Editor, site: Site) -> bool:
    """Whether the activation's input and output have one type and one quantization."""
    first = site.graph.tensors[editor.inputs(site)[0]]
    second = site.graph.tensors[editor.outputs(site)[0]]
    return first.type == second.type and _numbers(first) == _numbers(second)


def _numbers(tensor: Any) -> tuple[list[float], list[int]]:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None:
        return [], []
    points = [] if quantization.zeroPoint is None else quantization.zeroPoint
    return [float(s) for s in quantization.scale], [int(p) for p in points]
