"""CALL_ONCE: a subgraph that runs at the first inference only, to give variables their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.ir import Attributes, Graph
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.control import CallsSubgraphs, ControlOp, RunSubgraph, check_sizes
from edgepack.ops.shared.kernel import (
    Context,
    KernelCall,
    Lowered,
    Persistent,
    Scratch,
    SubgraphRef,
)
from edgepack.types import Array


class CallOnce(ControlOp):
    """No inputs, no outputs."""

    name = "CALL_ONCE"
    arity = (0, 0)
    once = True
    notes = "runs again after init, which also resets the variables"

    def attributes(self, options: Any) -> Attributes:
        return CallsSubgraphs((int(options.initSubgraphIndex),))

    def check_call(self, view: NodeView, callees: Sequence[Graph]) -> None:
        check_sizes(view, [], callees[0], outputs=False)
        check_sizes(view, [], callees[0], outputs=True)

    def run(
        self, view: NodeView, inputs: Sequence[Array | None], call: RunSubgraph
    ) -> tuple[Array | None, ...]:
        attrs = view.node.attrs
        assert isinstance(attrs, CallsSubgraphs)
        call(attrs.subgraphs[0], ())
        return ()

    def lower_calls(self, view: NodeView, arena_bytes: int) -> Lowered:
        attrs = view.node.attrs
        assert isinstance(attrs, CallsSubgraphs)
        return KernelCall(
            "ep_call_once",
            "ep_control.h",
            (
                Context(),
                SubgraphRef(attrs.subgraphs[0]),
                Persistent("uint8_t"),
                Scratch("uint8_t"),
            ),
            scratch_bytes=arena_bytes,
            persistent_bytes=1,
            fallible=True,
            reason=f"subgraph {attrs.subgraphs[0]} runs at the first inference",
        )
