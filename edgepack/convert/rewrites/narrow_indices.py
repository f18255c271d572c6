"""Constant INT64 indices of GATHER and GATHER_ND -> INT32: TensorFlow Lite Micro has no others."""

from __future__ import annotations

import numpy as np

from edgepack.convert.rewrites.editor import Editor

_INT32 = np.iinfo(np.int32)


def apply(editor: Editor) -> int:
    """Narrow them where they fit."""
    count = 0
    for site in editor.sites("GATHER", "GATHER_ND"):
        inputs = editor.inputs(site)
        value = editor.constant(site.graph, inputs[1])
        if value is None or value.dtype != np.int64:
            continue
        if value.size and (value.min() < _INT32.min or value.max() > _INT32.max):
            continue
        name = editor.tensor_name(site.graph, inputs[1])
        inputs[1] = editor.add_constant(site.graph, value.astype(np.int32), name)
        site.operator.inputs = np.array(inputs, np.int32)
        count += 1
    return count
