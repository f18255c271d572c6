"""Every intermediate value of a `.tflite` for real samples, loops included.

The values come from LiteRT's own kernels. What a WHILE computes inside is not to be had from its
interpreter, so the loop is run here: its condition and body as models of their own, step by step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import ModelError
from edgepack.quantize.float_lstm import SLOTS as LSTM_SLOTS
from edgepack.quantize.float_lstm import cell_states
from edgepack.quantize.svdf import SVDF_OP, SVDF_SLOTS
from edgepack.types import Array, DType

Key = tuple[int, int]  # subgraph and tensor
_STEP_LIMIT = 1 << 20


@dataclass(frozen=True)
class Seen:
    """A value of one tensor: once an inference, in a loop once each time it is computed."""

    key: Key
    value: Array


def streams(data: bytes) -> bool:
    """Whether samples are steps of time, each of which goes on from the state of the one before."""
    editor = Editor(read_model(data))
    return any(editor.name(o) == SVDF_OP for g in editor.model.subgraphs for o in g.operators)


class Observer:
    """A model whose tensors can be looked at.

    Args:
        data: the `.tflite`, float or quantized.
        only: tensors to look at; all that are computed where it is None.

    Raises:
        ModelError: LiteRT refuses the model.
    """

    def __init__(self, data: bytes, only: Sequence[Key] | None = None) -> None:
        self._model = read_model(data)
        self._editor = Editor(self._model)
        self._only = None if only is None else frozenset(only)
        self._graphs: dict[int, _Graph] = {}

    def run(self, inputs: Sequence[Array]) -> Iterator[Seen]:
        """All values for one sample, in the order of computation; state begins afresh, except in
        models with SVDF, whose samples are steps of time, one after the other.

        Args:
            inputs: one array per input, batch axis included, as the model stores it.
        """
        yield from self._graph(0).run(inputs)

    def outputs(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for one sample."""
        graph = self._graph(0)
        graph.invoke(inputs)
        return graph.outputs()

    def _graph(self, index: int) -> _Graph:
        if index not in self._graphs:
            self._graphs[index] = _Graph(self, self._model, self._editor, index, self._only)
        return self._graphs[index]

    def graph(self, index: int) -> _Graph:
        """A subgraph by its number, ready to run."""
        return self._graph(index)


class _Graph:
    """One subgraph as a model of its own."""

    def __init__(
        self, owner: Observer, model: Any, editor: Editor, index: int, only: frozenset[Key] | None
    ) -> None:
        self._owner, self._index, self._editor = owner, index, editor
        self._raw = model.subgraphs[index]
        self._loops = [o for o in self._raw.operators if editor.name(o) == "WHILE"]
        self._lstms = [
            o for o in self._raw.operators if editor.name(o) == "UNIDIRECTIONAL_SEQUENCE_LSTM"
        ]
        # what streams sees one step of time an inference: the steps before are in its state
        svdfs = [o for o in self._raw.operators if editor.name(o) == SVDF_OP]
        self._states = [int(o.inputs[SVDF_SLOTS.state]) for o in svdfs]
        self._watched = self._watch(only)
        self._interpreter = _interpreter(_alone(model, index))
        self._in = [d["index"] for d in self._interpreter.get_input_details()]
        self._out = [d["index"] for d in self._interpreter.get_output_details()]

    def _watch(self, only: frozenset[Key] | None) -> list[int]:
        found = [int(i) for i in self._raw.inputs]
        for operator in self._raw.operators:
            found += [int(i) for i in operator.outputs]
        constants = {i for i in found if self._editor.constant(self._raw, i) is not None}
        return [
            i
            for i in dict.fromkeys(found)
            if i not in constants and (only is None or (self._index, i) in only)
        ]

    def run(self, inputs: Sequence[Array]) -> Iterator[Seen]:
        self.invoke(inputs)
        for tensor in self._watched:
            try:
                value = self._get(tensor)
            except ValueError:  # LiteRT's "data is null": a slice that is empty in this iteration
                continue
            if value.size:
                yield Seen((self._index, tensor), value)
        for tensor in self._states:
            yield Seen((self._index, tensor), self._get(tensor))
        for operator in self._lstms:
            yield from self._lstm(operator)
        for operator in self._loops:
            yield from self._loop(operator)

    def invoke(self, inputs: Sequence[Array]) -> None:
        if not self._states:
            self._interpreter.reset_all_variables()
        for tensor, value in zip(self._in, inputs, strict=True):
            shape = tuple(int(s) for s in self._raw.tensors[tensor].shape)
            self._interpreter.set_tensor(tensor, value.reshape(shape))
        self._interpreter.invoke()

    def outputs(self) -> list[Array]:
        return [self._get(i) for i in self._out]

    def _get(self, tensor: int) -> Array:
        value: Array = self._interpreter.get_tensor(tensor)
        return value

    def _loop(self, operator: Any) -> Iterator[Seen]:
        """The body's values of each iteration."""
        options = operator.builtinOptions
        condition = self._owner.graph(int(options.condSubgraphIndex))
        body = self._owner.graph(int(options.bodySubgraphIndex))
        values = [self._get(int(i)) for i in operator.inputs]
        for _ in range(_STEP_LIMIT):
            condition.invoke(values)
            if not condition.outputs()[0].reshape(-1)[0]:
                return
            yield from body.run(values)
            values = body.outputs()
        raise ModelError(f"a loop of the model did not end within {_STEP_LIMIT} iterations")

    def _lstm(self, operator: Any) -> Iterator[Seen]:
        """The cell state of a fused float LSTM after each step; the interpreter has the last."""
        slots = [int(i) for i in operator.inputs]
        if self._editor.dtype(self._raw, slots[0]) is not DType.FLOAT32:
            return
        cell = slots[LSTM_SLOTS.cell]
        constants = {i: self._editor.constant(self._raw, i) for i in slots if i >= 0}
        for state in cell_states(operator, self._get(slots[0]), slots, constants):
            yield Seen((self._index, cell), state)


def _alone(model: Any, index: int) -> bytes:
    """The model with a subgraph as its main one; nothing calls the main one, so they swap."""
    if index == 0:
        return write_model(model)
    swapped = copy.copy(model)
    swapped.subgraphs = list(model.subgraphs)
    swapped.subgraphs[0], swapped.subgraphs[index] = model.subgraphs[index], model.subgraphs[0]
    swapped.subgraphs[index] = _empty(model.subgraphs[index])
    swapped.signatureDefs = None
    return write_model(swapped)


def _empty(like: Any) -> Any:
    """A subgraph that nothing calls, in the place of the one that moved."""
    graph = copy.copy(like)
    graph.operators = []
    graph.outputs = graph.inputs
    return graph


def _interpreter(data: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without XNNPACK: a delegate would keep the intermediate values to itself.
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT refuses the model: {error}") from error
    return interpreter
