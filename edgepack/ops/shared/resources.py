"""Resource variables, resolved before anything is lowered: which handle names which variable.

Handles are made by VAR_HANDLE and passed to subgraphs. As every call is known, so is the variable
behind every handle, and the generated code needs no handles at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.ir import Attributes, Graph, Module, Node, Tensor
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.control import callees
from edgepack.types import DType, Shape


@dataclass(frozen=True)
class VarHandleAttributes(Attributes):
    """What names a variable, in every subgraph the same one."""

    container: str = ""
    shared_name: str = ""


@dataclass(frozen=True)
class Variable:
    """One resource variable.

    Args:
        fill: the byte that init writes everywhere: the zero point, as TFLM does it.
    """

    name: str
    shape: Shape
    dtype: DType
    nbytes: int
    fill: int


@dataclass(frozen=True)
class Resources:
    """handles: (subgraph, tensor id of a handle) -> index in `variables`."""

    variables: tuple[Variable, ...]
    handles: Mapping[tuple[int, int], int]


def tensor_fill(tensor: Tensor) -> int:
    """The byte that TFLM fills a variable tensor with: an INT8 tensor's zero point, else 0."""
    return tensor.zero_point & 0xFF if tensor.dtype is DType.INT8 else 0


def resolve_resources(module: Module) -> Resources:
    """Follow every handle from its VAR_HANDLE through the calls.

    Raises:
        UnsupportedError: a variable that is never assigned (its size would be unknown), used with
            different sizes, or a subgraph that is run with different variables.
    """
    found = _Resolver(module)
    found.visit(0, ())
    variables = [found.variable(name) for name in found.names]
    for graph, node in found.uses:
        found.check_use(graph, node, variables)
    return Resources(tuple(variables), found.handles)


@dataclass
class _Resolver:
    module: Module
    names: list[tuple[str, str]] = field(default_factory=list)
    handles: dict[tuple[int, int], int] = field(default_factory=dict)
    uses: list[tuple[int, Node]] = field(default_factory=list)
    visited: dict[int, tuple[int | None, ...]] = field(default_factory=dict)

    def visit(self, number: int, given: Sequence[int | None]) -> tuple[int | None, ...]:
        """Resolve a subgraph whose inputs are these variables; returns those of its outputs."""
        graph = self.module.graphs[number]
        if number not in self.visited:
            self.visited[number] = tuple(given)
            for tensor, variable in zip(graph.inputs, given, strict=False):
                self._bind(number, tensor, variable)
            for node in graph.nodes:
                self._node(number, graph, node)
        return tuple(self.handles.get((number, t)) for t in graph.outputs)

    def _node(self, number: int, graph: Graph, node: Node) -> None:
        view = NodeView.of(graph, node)
        if isinstance(node.attrs, VarHandleAttributes):
            key = (node.attrs.container, node.attrs.shared_name)
            if key not in self.names:
                self.names.append(key)
            self._bind(number, node.outputs[0], self.names.index(key))
            return
        if node.op in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            self.uses.append((number, node))
        for slot, callee in enumerate(callees(node)):
            first = {"IF": 1}.get(node.op, 0)
            given = [self.handles.get((number, t)) for t in node.inputs[first:]]
            known = self.visited.get(callee)
            if known is not None and known != tuple(given):
                name = self.module.graphs[callee].name
                raise unsupported(
                    view, f"subgraph {name!r} is run with different resource variables"
                )
            results = self.visit(callee, given)
            if (node.op, slot) != ("WHILE", 0):
                for tensor, variable in zip(node.outputs, results, strict=False):
                    self._bind(number, tensor, variable)

    def _bind(self, number: int, tensor: int, variable: int | None) -> None:
        if variable is not None:
            self.handles[number, tensor] = variable

    def variable(self, key: tuple[str, str]) -> Variable:
        """Size and initial value come from the first assignment in the file, as in TFLM."""
        wanted = self.names.index(key)
        for number, node in sorted(self.uses, key=lambda use: (use[0], use[1].index)):
            handle = self.handles.get((number, node.inputs[0]))
            if node.op == "ASSIGN_VARIABLE" and handle == wanted:
                value = self.module.graphs[number].tensors[node.inputs[1]]
                fill = value.quant.zero_point[0] & 0xFF if value.quant is not None else 0
                return Variable(key[1], value.shape, value.dtype, value.nbytes, fill)
        reader = next(
            (use for use in self.uses if self.handles.get((use[0], use[1].inputs[0])) == wanted),
            None,
        )
        if reader is None:
            return Variable(key[1], (0,), DType.INT8, 0, 0)  # a handle that nobody uses
        raise unsupported(
            NodeView.of(self.module.graphs[reader[0]], reader[1]),
            f"variable {key[1]!r} is read but never assigned",
        )

    def check_use(self, number: int, node: Node, variables: Sequence[Variable]) -> None:
        view = NodeView.of(self.module.graphs[number], node)
        handle = self.handles.get((number, node.inputs[0]))
        if handle is None:
            raise unsupported(view, "its resource handle does not come from a VAR_HANDLE")
        variable = variables[handle]
        value = view.output() if node.op == "READ_VARIABLE" else view.input(1)
        if (value.dtype, value.nbytes) != (variable.dtype, variable.nbytes):
            raise unsupported(
                view,
                f"variable {variable.name!r} was assigned {variable.dtype.value}"
                f"[{','.join(map(str, variable.shape))}], here it is {value.describe()}",
            )
