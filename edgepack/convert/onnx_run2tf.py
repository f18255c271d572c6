"""onnx2tf in the child process: offline, quiet, and with the node's name in its errors."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import ConversionError, EdgepackError, UnsupportedError
from edgepack.types import Array

# What onnx2tf would download to try its layers with (docs/onnx.md); any numbers do.
_SAMPLE_SHAPE = (20, 128, 128, 3)
_COLOUR = re.compile(r"\x1b\[\d*m")
_NEXT = "docs/onnx.md lists which operators convert"


def to_keras(proto: Any, folder: Path, *, keep_nchw: Sequence[str], as_is: Sequence[str]) -> Any:
    """The graph as a tf_keras model whose images are NHWC.

    Args:
        proto: a ModelProto with fixed shapes and named nodes.
        folder: for what onnx2tf writes.
        keep_nchw: inputs that stay channels first; a TRANSPOSE follows them.
        as_is: inputs that are no images and keep their axes.

    Raises:
        UnsupportedError: onnx2tf has no such operator.
        ConversionError: it failed; the message names the node.
    """
    from onnx2tf import onnx2tf

    onnx2tf.download_test_image_data = _samples
    limit = sys.getrecursionlimit()
    nodes = {node.name: node for node in proto.graph.node}
    with _noting_the_node(onnx2tf) as current:
        try:
            return onnx2tf.convert(
                onnx_graph=proto,
                output_folder_path=str(folder / "onnx2tf"),
                not_use_onnxsim=True,
                not_use_opname_auto_generate=True,
                disable_model_save=True,
                verbosity="error",
                keep_ncw_or_nchw_or_ncdhw_input_names=list(keep_nchw) or None,
                keep_shape_absolutely_input_names=list(as_is) or None,
            )
        # onnx2tf raises whatever its layers do, and leaves with sys.exit()
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            raise _explained(error, nodes, current) from error
        finally:
            sys.setrecursionlimit(limit)  # onnx2tf lifts it on import


def _samples() -> Array:
    return np.random.default_rng(0).random(_SAMPLE_SHAPE, np.float32)


@contextlib.contextmanager
def _noting_the_node(module: Any) -> Iterator[list[str]]:
    """Let onnx2tf's look-up of an operator tell which one it works on."""
    current: list[str] = []
    original = module.importlib

    class Noting:
        """importlib with one function that remembers what was asked for."""

        @staticmethod
        def import_module(name: str) -> Any:
            current[:] = [name.rpartition(".")[2]]
            return original.import_module(name)

    module.importlib = Noting
    try:
        yield current
    finally:
        module.importlib = original


def _explained(
    error: BaseException, nodes: dict[str, Any], current: Sequence[str]
) -> EdgepackError:
    name = getattr(error, "onnx_op_name", None)
    operator = current[0] if current else "the graph"
    if isinstance(error, ModuleNotFoundError) and "onnx2tf.ops" in str(error):
        found = [n for n, node in nodes.items() if node.op_type == operator]
        return UnsupportedError(
            f"onnx2tf has no conversion of {operator} (node {', '.join(found[:3])})",
            next_step=_NEXT,
        )
    node = nodes.get(str(name))
    where = f"{node.op_type} (node {name})" if node is not None else operator
    text = _COLOUR.sub("", str(error)).removeprefix("ERROR:")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    why = " ".join(lines[:2])[:300] or type(error).__name__
    return ConversionError(f"onnx2tf failed at {where}: {why}", next_step=_NEXT)
