"""PyTorch programs, in the child process: written as ONNX by PyTorch, then converted as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.convert.base import Request, Source, Stages
from edgepack.convert.onnx import open_proto
from edgepack.convert.onnx_tf import OnnxSource
from edgepack.convert.qdq.source import QuantSource
from edgepack.types import Array


def open_source(request: Request, stages: Stages) -> Source:
    """Load a program and convert it through ONNX; PyTorch itself is what it is compared with.

    Raises:
        ModelError: it is damaged.
        UnsupportedError: an operator that has no form in ONNX or TFLite, or an open shape.
        ConversionError: onnx2tf failed; the message names the node.
    """
    with stages("start", "starting PyTorch"):
        import torch

        from edgepack.models import onnx_child, torch_child
    with stages("load", f"loading {request.path.name}"):
        program = torch_child.load_program(request.path, trust_model_code=request.trust_model_code)
    target = Path(request.folder) / "from_torch.onnx"
    try:
        with stages("to onnx", "writing the program as ONNX"):
            torch_child.to_onnx(program, target)
            proto = onnx_child.read_onnx(target)
            description = onnx_child.describe(proto, target)
    finally:
        target.unlink(missing_ok=True)
    description["producer"] = f"PyTorch {torch.__version__}"
    source = open_proto(request, stages, proto, description)
    if isinstance(source, OnnxSource | QuantSource):
        source.runner = _runner(program)
        source.nodes = sum(1 for node in program.graph.nodes if node.op == "call_function")
    return source


def _runner(program: Any) -> Any:
    import torch

    module = program.module()

    def run(inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        with torch.no_grad():
            outputs = module(*(torch.from_numpy(array.copy()) for array in inputs))
        flat, _ = torch.utils._pytree.tree_flatten(outputs)
        return tuple(tensor.numpy() for tensor in flat)

    return run
