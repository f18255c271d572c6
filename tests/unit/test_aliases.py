"""Tensors that share memory: random graphs of cuts and joins, run inside a simulated arena."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.emit.program import GraphProgram, build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Graph
from edgepack.memory.aliases import Segment, cut, resolve_aliases
from edgepack.ops.evaluate import evaluate
from edgepack.ops.shared.kernel import Alias, Isa, KernelCall, Lowered
from edgepack.ops.table import OPS
from edgepack.types import Array
from tests.tflite_builder import ModelBuilder, spec


def _run_in_arena(program: GraphProgram, inputs: list[Array]) -> list[Array]:
    """The outputs when every tensor lives at its planned offset and Alias nodes do nothing."""
    graph, plan = program.graph, program.plan
    arena = np.full(plan.arena_bytes, 0xA5, np.uint8)

    def place(tensor: int) -> Array:
        value = graph.tensors[tensor]
        at = plan.tensors[tensor]
        raw = arena[at : at + value.nbytes]
        assert raw.nbytes == value.nbytes
        return raw.view(value.dtype.numpy).reshape(value.shape)

    for tensor, array in zip(graph.inputs, inputs, strict=True):
        place(tensor)[...] = array
    for view, call in zip(program.views(), program.lowered, strict=True):
        if isinstance(call, Alias):
            continue
        assert isinstance(call, KernelCall)
        values = [
            None if t is None else t.data if t.data is not None else place(t.id).copy()
            for t in view.inputs
        ]
        results = OPS[view.node.op].reference(view, values)
        for written, value in zip(view.outputs, results, strict=True):
            place(written.id)[...] = value
    return [place(t).copy() for t in graph.outputs]


class _Random:
    """A graph over 1-D tensors that grows op by op; every choice is drawn by hypothesis."""

    def __init__(self, draw: Callable[[int, int], int], dtype: str) -> None:
        self.model, self.draw, self.dtype = ModelBuilder(), draw, dtype
        self.pool: list[tuple[int, int]] = []  # handle, length
        for name in ("a", "b"):
            length = draw(2, 12)
            self.pool.append((self.model.input(name, (length,), dtype), length))

    def pick(self) -> tuple[int, int]:
        return self.pool[self.draw(0, len(self.pool) - 1)]

    def step(self) -> None:
        (self._split, self._join, self._reverse, self._slice, self._reshape)[self.draw(0, 4)]()

    def _op(self, name: str, inputs: list[int], lengths: list[int], **options: object) -> None:
        specs = [spec((n,), self.dtype) for n in lengths]
        self.pool += zip(self.model.op(name, inputs, specs, options), lengths, strict=True)

    def _split(self) -> None:
        handle, length = self.pick()
        if length < 2:
            return
        first = self.draw(1, length - 1)
        sizes = self.model.const([first, length - first], "INT32")
        inputs = [handle, sizes, self.model.const(0, "INT32")]
        self._op("SPLIT_V", inputs, [first, length - first], num_splits=2)

    def _join(self) -> None:
        parts = [self.pick() for _ in range(self.draw(2, 3))]
        total = sum(n for _, n in parts)
        if total <= 40:
            self._op("CONCATENATION", [h for h, _ in parts], [total], axis=0)

    def _reverse(self) -> None:
        handle, length = self.pick()
        self._op("REVERSE_V2", [handle, self.model.const([0], "INT32")], [length])

    def _slice(self) -> None:
        handle, length = self.pick()
        begin = self.draw(0, length - 1)
        size = self.draw(1, length - begin)
        inputs = [handle, self.model.const([begin], "INT32"), self.model.const([size], "INT32")]
        self._op("SLICE", inputs, [size])

    def _reshape(self) -> None:
        handle, length = self.pick()
        self._op("RESHAPE", [handle, self.model.const([length], "INT32")], [length])


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.data())
def test_random_graphs_of_cuts_and_joins(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["INT8", "FLOAT32", "INT64"]))
    graph = _Random(lambda low, high: data.draw(st.integers(low, high)), dtype)
    inputs = [length for _, length in graph.pool]
    for _ in range(data.draw(st.integers(2, 12))):
        graph.step()
    made = [handle for handle, _ in graph.pool[2:]]
    if not made:
        return
    outputs = data.draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    graph.model.output(*outputs)
    module = load_tflite(graph.model.build())
    program = build_program(module, Isa())
    rng = np.random.default_rng(1)
    numpy = {"INT8": np.int8, "FLOAT32": np.float32, "INT64": np.int64}[dtype]
    arrays: list[Array] = [rng.integers(-100, 100, n).astype(numpy) for n in inputs]
    values = evaluate(module, arrays)
    found = _run_in_arena(program.main, arrays)
    for handle, array in zip(outputs, found, strict=True):
        np.testing.assert_array_equal(array, values[handle])


def _lower(model: ModelBuilder) -> tuple[Graph, tuple[Lowered, ...]]:
    program = build_program(load_tflite(model.build()), Isa())
    return program.main.graph, program.main.lowered


def _reasons(model: ModelBuilder) -> list[str]:
    return [c.reason if isinstance(c, KernelCall) else "shared" for c in _lower(model)[1]]


def _concat(model: ModelBuilder, parts: list[int], length: int, dtype: str = "INT8") -> int:
    return model.op("CONCATENATION", parts, [spec((length,), dtype)], {"axis": 0})[0]


def test_a_tensor_cannot_lie_in_two_places() -> None:
    model = ModelBuilder()
    x = model.input("x", (4,))
    model.output(_concat(model, [x, x], 8))
    assert "already lies elsewhere" in _reasons(model)[0]


def test_pieces_must_be_aligned() -> None:
    model = ModelBuilder()
    x, y = model.input("x", (3,)), model.input("y", (5,))
    model.output(_concat(model, [x, y], 8))
    assert "would not be aligned" in _reasons(model)[0]
    model = ModelBuilder()
    x, y = model.input("x", (4,)), model.input("y", (3,))
    model.output(_concat(model, [x, y], 7))
    assert _reasons(model) == ["shared"]


def test_a_constant_is_copied() -> None:
    model = ModelBuilder()
    x = model.input("x", (4,))
    model.output(_concat(model, [x, model.const([1, 2, 3, 4])], 8))
    assert "is a constant" in _reasons(model)[0]


def test_bytes_that_are_still_needed_are_not_shared() -> None:
    # y lies in the first half of x; a join that puts something else behind it would destroy x
    model = ModelBuilder()
    x, z = model.input("x", (8,)), model.input("z", (4,))
    zero, four = model.const([0], "INT32"), model.const([4], "INT32")
    (y,) = model.op("SLICE", [x, zero, four], [spec((4,))])
    joined = _concat(model, [y, z], 8)
    model.output(_concat(model, [joined, x], 16))
    reasons = _reasons(model)
    assert reasons[0] == "shared"
    assert "needed together" in reasons[1]


def test_copies_win_where_sharing_costs_memory() -> None:
    # `small` is made first and joined last; sharing would keep room for `large` all the time
    model = ModelBuilder()
    small, wide = model.input("small", (4,)), model.input("wide", (1,))
    (big,) = model.op("BROADCAST_TO", [wide, model.const([500], "INT32")], [spec((500,))])
    (back,) = model.op("REVERSE_V2", [big, model.const([0], "INT32")], [spec((500,))])
    begin, size = model.const([0], "INT32"), model.const([1], "INT32")
    (one,) = model.op("SLICE", [back, begin, size], [spec((1,))])
    (large,) = model.op("BROADCAST_TO", [one, model.const([400], "INT32")], [spec((400,))])
    model.output(_concat(model, [small, large], 404))
    graph, lowered = _lower(model)
    program = build_program(load_tflite(model.build()), Isa())
    assert program.arena_bytes < 1000 + 404
    assert resolve_aliases(graph, lowered) == lowered


def test_cut_joins_neighbouring_pieces() -> None:
    content = (Segment(1, 0, 4), Segment(1, 4, 4), Segment(2, 8, 2))
    assert cut(content, 0, 8) == (Segment(1, 0, 8),)
    assert cut(content, 6, 3) == (Segment(1, 6, 2), Segment(2, 8, 1))
    assert cut(content, 4, 0) == ()
