"""WHILE: a body subgraph, repeated while a condition subgraph says true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.errors import ModelError
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
    InputArray,
    KernelCall,
    Lowered,
    OutputArray,
    Overlap,
    Params,
    PointerArray,
    Scratch,
    SubgraphRef,
)
from edgepack.types import Array, DType

_MOST_INPUTS = 1 << 16  # no limit in practice
LOOP_LIMIT = 1 << 24  # EP_LOOP_LIMIT of firmware/kernels/ep_control.h


class While(ControlOp):
    """The outputs hold the loop's variables; condition and body read them where they are."""

    name = "WHILE"
    arity = (1, _MOST_INPUTS)
    notes = (
        f"ends with EP_ERR_INDEX after {LOOP_LIMIT} iterations; only the variables that the body "
        "changes are copied"
    )

    def attributes(self, options: Any) -> Attributes:
        return CallsSubgraphs((int(options.condSubgraphIndex), int(options.bodySubgraphIndex)))

    def check_call(self, view: NodeView, callees: Sequence[Graph]) -> None:
        condition, body = callees
        for graph in callees:
            check_sizes(view, input_sizes(view, 0), graph, outputs=False)
        check_sizes(view, output_sizes(view), body, outputs=True)
        if len(view.inputs) != len(view.outputs):
            raise unsupported(view, f"{len(view.inputs)} inputs and {len(view.outputs)} outputs")
        answers = [condition.tensors[i] for i in condition.outputs]
        if len(answers) != 1 or answers[0].dtype is not DType.BOOL or answers[0].elements != 1:
            found = ", ".join(t.describe() for t in answers)
            raise unsupported(view, f"its condition gives {found}, allowed is one BOOL[1]")

    def run(
        self, view: NodeView, inputs: Sequence[Array | None], call: RunSubgraph
    ) -> tuple[Array | None, ...]:
        attrs = view.node.attrs
        assert isinstance(attrs, CallsSubgraphs)
        condition, body = attrs.subgraphs
        values: tuple[Array | None, ...] = tuple(inputs)
        for _ in range(LOOP_LIMIT + 1):
            answer = call(condition, values)[0]
            assert answer is not None
            if not answer.reshape(-1)[0]:
                return values
            values = call(body, values)
        raise ModelError(f"{view.describe()}: still looping after {LOOP_LIMIT} iterations")

    def lower_calls(self, view: NodeView, arena_bytes: int) -> Lowered:
        attrs = view.node.attrs
        assert isinstance(attrs, CallsSubgraphs)
        slots = tuple(range(len(view.outputs)))
        return KernelCall(
            "ep_while",
            "ep_control.h",
            (
                Params("ep_call_params", (("count", len(slots)),)),
                Context(),
                SubgraphRef(attrs.subgraphs[0]),
                SubgraphRef(attrs.subgraphs[1]),
                InputArray(slots, typed=False),
                byte_table(view),
                Scratch("uint8_t"),
                PointerArray(len(slots)),
                OutputArray(slots, typed=False),
            ),
            scratch_bytes=arena_bytes,
            overlaps=tuple(Overlap(slot, slot, 0, "exact") for slot in slots),
            fallible=True,
            reason=f"subgraphs {attrs.subgraphs[0]} and {attrs.subgraphs[1]} share their memory",
        )
