"""Named lists of passes; the IR is verified after every pass."""

from __future__ import annotations

from collections.abc import Callable

from edgepack.ir import Module
from edgepack.ir.verify import verify
from edgepack.ops.verify import verify_ops
from edgepack.passes.drop_constant_channels import drop_constant_channels

Pass = Callable[[Module], Module]

# Lossless: every output byte stays the same.
DEFAULT_FLOW: tuple[Pass, ...] = (drop_constant_channels,)


def run_flow(module: Module, flow: tuple[Pass, ...] = DEFAULT_FLOW) -> Module:
    """Apply passes in order.

    Raises:
        UnsupportedError: the model has ops or types without a kernel.
        ModelError: the model, or what a pass made of it, breaks the IR's specification.
    """
    verify_ops(module)
    for rewrite in flow:
        module = rewrite(module)
        verify(module)
        verify_ops(module)
    return module
