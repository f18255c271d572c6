"""Named lists of passes; the IR is verified after every pass."""

from __future__ import annotations

from collections.abc import Callable

from edgepack.ir import Module
from edgepack.ir.verify import verify
from edgepack.ops.verify import verify_ops
from edgepack.passes.drop_constant_channels import drop_constant_channels
from edgepack.passes.fold_constants import fold_constants
from edgepack.passes.prepare_calls import prepare_calls
from edgepack.passes.remove_dead import remove_dead

Pass = Callable[[Module], Module]

# Lossless: every output byte stays the same.
DEFAULT_FLOW: tuple[Pass, ...] = (fold_constants, remove_dead, drop_constant_channels)


def run_flow(module: Module, flow: tuple[Pass, ...] = DEFAULT_FLOW) -> Module:
    """Apply passes in order.

    The module is prepared by folding its constants before its ops are verified: many ops demand
    constants that a converter left as arithmetic on shapes.

    Raises:
        UnsupportedError: the model has ops or types without a kernel.
        ModelError: the model, or what a pass made of it, breaks the IR's specification.
    """
    module = prepare_calls(module)
    if flow[:1] != (fold_constants,):
        verify_ops(module)
    for rewrite in flow:
        module = rewrite(module)
        verify(module)
        verify_ops(module)
    return module
