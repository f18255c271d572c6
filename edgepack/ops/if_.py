"""IF: one of two subgraphs, chosen by a bool at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.ir import Attributes, Graph
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.control import (
    CallsSubgraphs,
    ControlOp,
    RunSubgraph,
    byte_table,
    check_sizes,
    input_sizes,
    output_sizes,
)
from edgepack.ops.shared.kernel import (
    Context,
    Input,
    InputArray,
    KernelCall,
    Lowered,
    OutputArray,
    Params,
    PointerArray,
    Scratch,
    SubgraphRef,
)
from edgepack.types import Array, DType

_MOST_INPUTS = 1 << 16  # no limit in practice


class If(ControlOp):
    """Input 0 is the condition; the branches get the others and give the outputs."""

    name = "IF"
    arity = (1, _MOST_INPUTS)
    first_input = 1
    notes = "branches read their inputs in place; both share one piece of memory"

    def attributes(self, options: Any) -> Attributes:
        return CallsSubgraphs((int(options.thenSubgraphIndex), int(options.elseSubgraphIndex)))

    def check(self, view: NodeView) -> None:
        super().check(view)
        condition = view.input(0)
        if condition.dtype is not DType.BOOL or condition.elements != 1:
            raise unsupported(view, f"its condition is {condition.describe()}, allowed is BOOL[1]")

    def check_call(self, view: NodeView, callees: Sequence[Graph]) -> None:
        for graph in callees:
            check_sizes(view, input_sizes(view, 1), graph, outputs=False)
            check_sizes(view, output_sizes(view), graph, outputs=True)

    def run(
        self, view: NodeView, inputs: Sequence[Array | None], call: RunSubgraph
    ) -> tuple[Array | None, ...]:
        attrs, condition = view.node.attrs, inputs[0]
        assert isinstance(attrs, CallsSubgraphs) and condition is not None
        return call(attrs.subgraphs[0 if condition.reshape(-1)[0] else 1], inputs[1:])

    def lower_calls(self, view: NodeView, arena_bytes: int) -> Lowered:
        attrs = view.node.attrs
        assert isinstance(attrs, CallsSubgraphs)
        count = len(view.outputs)
        return KernelCall(
            "ep_if",
            "ep_control.h",
            (
                Params("ep_call_params", (("count", count),)),
                Context(),
                SubgraphRef(attrs.subgraphs[0]),
                SubgraphRef(attrs.subgraphs[1]),
                Input(0),
                InputArray(tuple(range(1, len(view.inputs))), typed=False),
                byte_table(view),
                Scratch("uint8_t"),
                PointerArray(count),
                OutputArray(tuple(range(count)), typed=False),
            ),
            scratch_bytes=arena_bytes,
            fallible=True,
            reason=f"subgraphs {attrs.subgraphs[0]} and {attrs.subgraphs[1]} share their memory",
        )
