"""How many TRANSPOSE a converted model holds, and how many of them stand at a convolution."""

from __future__ import annotations

from edgepack.convert.flatbuffer import read_model
from edgepack.convert.rewrites.editor import Editor

_IMAGES = (
    "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE_CONV",
)  # fmt: skip


def count_transposes(data: bytes) -> dict[str, int]:
    """`all` of them, and those directly in front of or behind an operator on images."""
    editor = Editor(read_model(data))
    found = {"all": 0, "at_convolutions": 0}
    for site in editor.sites("TRANSPOSE"):
        found["all"] += 1
        makers = [editor.producer(site.graph, tensor) for tensor in editor.inputs(site)]
        users = [u for tensor in editor.outputs(site) for u in editor.consumers(site.graph, tensor)]
        beside = [editor.name(s.operator) for s in (*makers, *users) if s is not None]
        found["at_convolutions"] += any(name in _IMAGES for name in beside)
    return found
