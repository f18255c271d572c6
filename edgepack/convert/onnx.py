"""ONNX models, in the child process: which of two ways they go.

Float models go through onnx2tf, quantized ones through our own writer, which keeps their scales.
onnx2tf guesses the layout of what lies between convolutions; where it fails, or what it made
computes something else, the writer is tried on float models too.
"""

from __future__ import annotations

import copy
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgepack.convert import onnx_prepare
from edgepack.convert.base import Request, Source, Stages
from edgepack.convert.onnx_parts.shuffle import gather_shuffles
from edgepack.convert.onnx_parts.table import STANDARDIZE, split_up
from edgepack.convert.shapes import check_batch, check_names, fixed_shape
from edgepack.errors import ConversionError, EdgepackError, UnsupportedError
from edgepack.models.handle import TensorSpec

MAX_IR_VERSION = 10
LAYOUTS = {3: ("NCW", "NWC"), 4: ("NCHW", "NHWC")}


def open_source(request: Request, stages: Stages) -> Source:
    """Load a model, and convert it to a TensorFlow function unless it is quantized.

    Raises:
        ModelError: it is damaged, or names files outside its folder.
        UnsupportedError: an operator or element type that cannot be converted, or an open shape.
        UsageError: a shape that the model cannot take.
        ConversionError: onnx2tf failed; the message names the node.
    """
    from edgepack.models import onnx_child

    with stages("load", f"loading {request.path.name}"):
        proto = onnx_child.read_onnx(request.path)
        description = onnx_child.describe(proto, request.path)
    return open_proto(request, stages, proto, description)


def open_proto(request: Request, stages: Stages, proto: Any, description: dict[str, Any]) -> Source:
    """The same with a model that was parsed and described.

    Raises:
        EdgepackError: as `open_source`.
    """
    from edgepack.convert.qdq.source import open_quantized

    with stages("shapes", "inferring shapes"):
        specs, warnings = fixed_inputs(request, description)
        # what later versions of the container added, ONNX Runtime may not read yet
        proto.ir_version = min(proto.ir_version, MAX_IR_VERSION)
        proto = onnx_prepare.lower_opset(proto)
        onnx_prepare.name_nodes(proto)
        onnx_prepare.fix_shapes(proto, specs)
        split_up(proto, onnx_prepare.inferred_shapes(proto), STANDARDIZE)
        onnx_prepare.explicit_pads(proto)
    first = onnx_prepare.channels_first_inputs(proto)
    for spec in description["inputs"]:
        if spec["name"] in first:
            spec["layout"] = LAYOUTS[len(spec["shape"])][0]
    if onnx_prepare.is_quantized(proto):
        return open_quantized(request, stages, proto, description, specs, warnings)
    parts = copy.deepcopy(proto)  # ONNX Runtime computes the original for comparison
    with stages("prepare", "folding constants"):
        shapes = onnx_prepare.known_shapes(parts)
        gather_shuffles(parts, shapes)
        split_up(parts, shapes)
        parts = onnx_prepare.fold(parts, Path(request.folder))
        onnx_prepare.name_nodes(parts)
    try:
        from edgepack.convert.onnx_tf import open_float

        return open_float(request, stages, proto, parts, description, specs, list(warnings))
    # onnx2tf and TensorFlow raise whatever their layers do
    except Exception as error:
        traceback.print_exc()
        reason = error if isinstance(error, EdgepackError) else _foreign(error)
    try:
        source = open_quantized(request, stages, proto, description, specs, warnings, parts)
        source.to_tflite()
    except UnsupportedError as error:
        raise reason from error
    source.warnings.append(f"written by edgepack, because {_said(reason)}")
    return source


def _foreign(error: Exception) -> ConversionError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ConversionError(f"onnx2tf failed: {type(error).__name__}: {' '.join(lines[:2])[:300]}")


def _said(error: EdgepackError) -> str:
    return error.message if len(error.message) < 160 else f"{error.message[:157]}..."


def fixed_inputs(
    request: Request, description: dict[str, Any]
) -> tuple[list[TensorSpec], list[str]]:
    """The inputs at fixed shapes in the source's layout, and the warnings about them."""
    specs = [TensorSpec.from_dict(entry) for entry in description["inputs"]]
    check_names(request.input_shapes_by_name, [spec.name for spec in specs])
    fixed, warnings = [], []
    for spec in specs:
        shape = fixed_shape(spec.name, spec.shape, request.shape_for(spec.name, len(specs)))
        fixed.append(replace(spec, shape=shape))
        warnings.append(check_batch(spec.name, shape))
    return fixed, [text for text in warnings if text]
