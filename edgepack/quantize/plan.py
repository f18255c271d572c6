"""What is to be quantized how: a plan as data, decided here and carried out in `apply`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import ConfigError, ConversionError, UnsupportedError
from edgepack.ops.table import OPS
from edgepack.quantize.float_lstm import SLOTS as LSTM_SLOTS
from edgepack.quantize.float_lstm import check_plain
from edgepack.quantize.observe import Key
from edgepack.quantize.params import QParams, activation_params
from edgepack.quantize.policy import FIXED, WEIGHTED, Kind, few_outputs, kind_of
from edgepack.quantize.rules import Rules
from edgepack.quantize.schemes import OpScheme
from edgepack.quantize.svdf import SVDF_SLOTS, check_svdf
from edgepack.types import DType

OpKey = tuple[int, int]  # subgraph and position of the operator
Range = tuple[float, float]
Params = QParams | None  # None: float32
_SHOWN = 8


@dataclass
class Plan:
    """How each tensor is stored, and what each operator reads.

    Attributes:
        schemes: of the operators that compute on floats in the float model.
        tensors: of activations.
        slots: what an operator reads at an input; where the tensor is stored otherwise, a
            conversion goes in between. Weights and biases stand not here.
        results: the same of a subgraph's outputs, by subgraph and position.
        names: op and output name of every operator that has a scheme, in order.
    """

    schemes: dict[OpKey, OpScheme] = field(default_factory=dict)
    tensors: dict[Key, Params] = field(default_factory=dict)
    slots: dict[tuple[int, int, int], Params] = field(default_factory=dict)
    results: dict[tuple[int, int], Params] = field(default_factory=dict)
    names: dict[OpKey, tuple[str, str]] = field(default_factory=dict)


def weighted_slots(op: str, editor: Editor, graph: Any, inputs: list[int]) -> tuple[int, ...]:
    """Slots that hold constant weights and a bias; none where the weights are computed."""
    if op not in WEIGHTED:
        return ()
    slots = WEIGHTED[op]
    if editor.constant(graph, inputs[slots.weights]) is None:
        return (slots.bias,) if len(inputs) > slots.bias else ()
    return (slots.weights, slots.bias)


def make_plan(
    model: Any,
    rules: Rules,
    ranges: Mapping[Key, Range],
    pins: Mapping[str, Range] | None = None,
) -> Plan:
    """Decide how everything is stored.

    Args:
        model: the float model (`ModelT`).
        rules: which operator gets which scheme.
        ranges: of the activations.
        pins: ranges by tensor name that count instead.

    Raises:
        UnsupportedError: an operator has no kernel for the scheme that the rules give it.
        ConfigError: a pin names no tensor, or one whose scale the operator dictates.
        ConversionError: no value of a tensor was seen.
    """
    planner = _Planner(model, rules, ranges)
    planner.check()
    planner.graph(0)
    planner.pin(pins or {})
    return planner.plan()


class _Group:
    """Tensors that share a scale; `parent` leads to the group that this one was joined to."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype
        self.parent: _Group | None = None
        self.range: Range | None = None
        self.fixed: tuple[float, int] | None = None
        self.pinned = False
        self.power_of_two = False
        self.name = ""

    def root(self) -> _Group:
        group = self
        while group.parent is not None:
            group = group.parent
        return group

    def cover(self, found: Range | None) -> None:
        root = self.root()
        if found is None or root.pinned:
            return
        old = root.range or found
        root.range = (min(old[0], found[0]), max(old[1], found[1]))

    def join(self, other: _Group) -> None:
        mine, theirs = self.root(), other.root()
        if mine is theirs:
            return
        mine.cover(theirs.range)
        mine.fixed = mine.fixed or theirs.fixed
        theirs.parent = mine

    def params(self) -> Params:
        root = self.root()
        if root.dtype is DType.FLOAT32:
            return None
        if root.fixed is not None:
            return QParams(root.dtype, *root.fixed)
        if root.range is None:
            raise ConversionError(
                f"no value of tensor {root.name!r} was seen with these samples",
                next_step=f"give its range: --pin {root.name}:LOW:HIGH",
            )
        if root.power_of_two:
            largest = max(-root.range[0], root.range[1], 2.0**-15)
            return QParams(root.dtype, 2.0 ** (math.ceil(math.log2(largest)) - 15), 0)
        return activation_params(*root.range, root.dtype)


class _Planner:
    def __init__(self, model: Any, rules: Rules, ranges: Mapping[Key, Range]) -> None:
        self.model, self.rules, self.ranges = model, rules, ranges
        self.editor = Editor(model)
        self.made = Plan()
        self.groups: dict[Key, _Group] = {}
        self.op_groups: dict[OpKey, _Group] = {}
        self.slot_groups: dict[tuple[int, int, int], _Group] = {}
        self.result_groups: dict[tuple[int, int], _Group] = {}

    # -- schemes ------------------------------------------------------------------------------

    def check(self) -> None:
        """Give every operator its scheme; refuse those without a kernel for it, all at once."""
        problems = []
        for g, graph in enumerate(self.model.subgraphs):
            for position, operator in enumerate(graph.operators):
                op = self.editor.name(operator)
                if not self._has_floats(graph, operator):
                    continue
                output = self.editor.tensor_name(graph, int(operator.outputs[0]))
                scheme = self.rules.scheme_of(op, output)
                self.made.schemes[g, position] = scheme
                self.made.names[g, position] = (op, output)
                why = self._refusal(op, scheme)
                if why:
                    problems.append(f"{op} {output!r}: {why}")
        if problems:
            more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise UnsupportedError(
                "; ".join(problems[:_SHOWN]) + more,
                next_step="give them another scheme, such as float: a rule with their op or a "
                "scope at the end of the recipe (--recipe)",
            )

    def _refusal(self, op: str, scheme: OpScheme) -> str | None:
        if scheme.is_float or kind_of(op) is Kind.LOOP:
            return None
        if kind_of(op) is None:
            return "no integer kernel"
        dtype = scheme.activation
        known = op in OPS and dtype in OPS[op].types
        if not known or (op in FIXED and dtype not in FIXED[op]):
            return f"no kernel with {dtype.value} activations"
        if kind_of(op) is Kind.LSTM and dtype is DType.INT16:
            return "LiteRT, which evaluates it here, has no kernel with INT16 activations"
        return None

    def _has_floats(self, graph: Any, operator: Any) -> bool:
        used = [*_ids(operator.inputs), *_ids(operator.outputs)]
        return any(i >= 0 and self.editor.is_float(graph, i) for i in used)

    # -- scales -------------------------------------------------------------------------------

    def graph(self, g: int) -> None:
        """Tie the scales of a subgraph, in the order of computation."""
        graph = self.model.subgraphs[g]
        for tensor in _ids(graph.inputs):
            if self.editor.is_float(graph, tensor) and (g, tensor) not in self.groups:
                self._new(g, tensor, self._first_reader(g, tensor))
        for position in range(len(graph.operators)):
            if (g, position) in self.made.schemes:
                self._operator(g, position)
        if g == 0:
            for position, tensor in enumerate(_ids(graph.outputs)):
                if (g, tensor) in self.groups:
                    self.result_groups[g, position] = self.groups[g, tensor]

    def _first_reader(self, g: int, tensor: int) -> DType:
        for position, operator in enumerate(self.model.subgraphs[g].operators):
            if tensor in _ids(operator.inputs) and (g, position) in self.made.schemes:
                return self.made.schemes[g, position].activation
        return DType.FLOAT32

    def _new(self, g: int, tensor: int, dtype: DType) -> _Group:
        group = _Group(dtype)
        group.name = self.editor.tensor_name(self.model.subgraphs[g], tensor)
        group.cover(self.ranges.get((g, tensor)))
        self.groups[g, tensor] = group
        return group

    def _operator(self, g: int, position: int) -> None:
        operator = self.model.subgraphs[g].operators[position]
        op, scheme = self.made.names[g, position][0], self.made.schemes[g, position]
        kind = kind_of(op)
        if kind is Kind.LOOP:
            self._loop(g, position, operator, scheme)
            return
        graph = self.model.subgraphs[g]
        outputs = [t for t in _ids(operator.outputs) if self.editor.is_float(graph, t)]
        groups = [self._new(g, t, scheme.activation) for t in outputs]
        if scheme.is_float:
            kind = Kind.FREE
        elif kind is Kind.FIXED:
            groups[0].fixed = FIXED[op][scheme.activation]
        elif kind is Kind.SAME:
            self._same(g, position, groups, scheme)
            return
        elif kind is Kind.LSTM:
            self._lstm(g, position, operator, groups[0])
            return
        elif kind is Kind.SVDF:
            check_svdf(operator, self.made.names[g, position][1])
            self._read(g, position, SVDF_SLOTS.x, scheme.activation)
            self._new(g, _ids(operator.inputs)[SVDF_SLOTS.state], DType.INT16)
            return
        skipped = weighted_slots(op, self.editor, graph, _ids(operator.inputs))
        few = few_outputs(op, scheme)
        if few is not None and WEIGHTED[op].weights in skipped:
            groups[0].fixed = few
        for slot in self._slots(g, position):
            if slot not in skipped:
                self._read(g, position, slot, scheme.activation)

    def _slots(self, g: int, position: int) -> list[int]:
        """Inputs that hold floats."""
        graph = self.model.subgraphs[g]
        found = _ids(graph.operators[position].inputs)
        return [s for s, t in enumerate(found) if t >= 0 and self.editor.is_float(graph, t)]

    def _read(self, g: int, position: int, slot: int, dtype: DType) -> None:
        """Let an operator read a tensor with its own scale, in the operator's type."""
        tensor = _ids(self.model.subgraphs[g].operators[position].inputs)[slot]
        group = self.groups.get((g, tensor))
        if group is None or group.root().dtype is not dtype:
            own = _Group(dtype)
            own.name = self.editor.tensor_name(self.model.subgraphs[g], tensor)
            own.cover(self._range_of(g, tensor))
            group = own
        self.slot_groups[g, position, slot] = group

    def _range_of(self, g: int, tensor: int) -> Range | None:
        value = self.editor.constant(self.model.subgraphs[g], tensor)
        if value is None:
            return self.ranges.get((g, tensor))
        return (float(value.min()), float(value.max())) if value.size else (0.0, 0.0)

    def _same(self, g: int, position: int, outputs: list[_Group], scheme: OpScheme) -> None:
        shared = self.op_groups[g, position] = outputs[0]
        for other in outputs[1:]:
            shared.join(other)
        slots = self._slots(g, position)
        alone = len(slots) == 1
        for slot in slots:
            tensor = _ids(self.model.subgraphs[g].operators[position].inputs)[slot]
            self._tie(g, tensor, shared, alone)
            self.slot_groups[g, position, slot] = shared

    def _tie(self, g: int, tensor: int, shared: _Group, alone: bool = False) -> None:
        """Join a tensor to a group, or, where its scale is given, only let the group hold it."""
        group = self.groups.get((g, tensor))
        if group is None:
            shared.cover(self._range_of(g, tensor))
            return
        root, into = group.root(), shared.root()
        if root.dtype is into.dtype and (root.fixed in (None, into.fixed) or alone):
            shared.join(group)
        else:
            shared.cover(self.ranges.get((g, tensor)))

    def _loop(self, g: int, position: int, operator: Any, scheme: OpScheme) -> None:
        options = operator.builtinOptions
        condition, body = int(options.condSubgraphIndex), int(options.bodySubgraphIndex)
        graphs = self.model.subgraphs
        kept = []
        for slot in self._slots(g, position):
            outer, inner = _ids(operator.inputs)[slot], _ids(graphs[body].inputs)[slot]
            shared = self._new(body, inner, self._loop_type(body, slot, scheme))
            shared.join(self._new(condition, _ids(graphs[condition].inputs)[slot], shared.dtype))
            shared.join(self._new(g, _ids(operator.outputs)[slot], shared.dtype))
            self._tie(g, outer, shared)
            self.slot_groups[g, position, slot] = shared
            kept.append((slot, shared))
        self.graph(condition)
        self.graph(body)
        for slot, shared in kept:
            self._tie(body, _ids(graphs[body].outputs)[slot], shared)
            self.result_groups[body, slot] = shared

    def _loop_type(self, body: int, slot: int, scheme: OpScheme) -> DType:
        """A loop's variable has the type of what the body makes for it, else the loop's own."""
        graph = self.model.subgraphs[body]
        made = _ids(graph.outputs)[slot]
        for position, operator in enumerate(graph.operators):
            if made in _ids(operator.outputs) and (body, position) in self.made.schemes:
                return self.made.schemes[body, position].activation
        return scheme.activation

    def _lstm(self, g: int, position: int, operator: Any, output: _Group) -> None:
        inputs = _ids(operator.inputs)
        check_plain(inputs, self.made.names[g, position][1])
        self._read(g, position, 0, output.dtype)
        hidden, cell = inputs[LSTM_SLOTS.hidden], inputs[LSTM_SLOTS.cell]
        # the kernels write the hidden state of the last step where the output is written
        output.join(self._new(g, hidden, output.dtype))
        self._new(g, cell, DType.INT16).power_of_two = True

    # -- result -------------------------------------------------------------------------------

    def pin(self, pins: Mapping[str, Range]) -> None:
        """Let given ranges count instead of the measured ones."""
        by_name: dict[str, list[_Group]] = {}
        for (g, tensor), group in self.groups.items():
            name = self.editor.tensor_name(self.model.subgraphs[g], tensor)
            by_name.setdefault(name, []).append(group.root())
        for name, wanted in pins.items():
            # a fused layer carries the names of all its parts
            found = [full for full in by_name if name == full or name in full.split(";")]
            if not found:
                parts = sorted({full.split(";")[-1] for full in by_name})
                near = difflib.get_close_matches(name, parts, 5, 0.3) or parts[:5]
                raise ConfigError(f"--pin: there is no tensor {name!r}", allowed=", ".join(near))
            for group in (group for full in found for group in by_name[full]):
                if group.fixed is not None:
                    raise ConfigError(
                        f"--pin {name}: its scale is given by the operator that makes it"
                    )
                group.range, group.pinned = wanted, True

    def plan(self) -> Plan:
        """The finished plan."""
        for key, group in self.groups.items():
            self.made.tensors[key] = group.params()
        for slot, group in self.slot_groups.items():
            self.made.slots[slot] = group.params()
        for result, group in self.result_groups.items():
            self.made.results[result] = group.params()
        return self.made


def _ids(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def quantized_operators(plan: Plan) -> Iterable[tuple[str, str]]:
    """Op and output name of the operators that a plan is about."""
    return plan.names.values()
