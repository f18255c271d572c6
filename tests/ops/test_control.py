"""IF, WHILE, CALL_ONCE and resource variables: branches, loops, nesting, state, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import EdgepackError, ModelError, UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate
from edgepack.ops.shared.kernel import Isa
from edgepack.types import Array
from tests.c_batch import Case, run_c
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, SubgraphBuilder, spec

SHAPE = (1, 5)
NONE = {"fused_activation_function": "NONE"}


def _samples(count: int, shape: tuple[int, ...] = SHAPE) -> list[list[Array]]:
    rng = np.random.default_rng(5)
    return [[rng.integers(-128, 128, shape).astype(np.int8)] for _ in range(count)]


def _i8(graph: SubgraphBuilder, name: str, shape: tuple[int, ...] = SHAPE) -> int:
    return graph.input(name, shape, "INT8", 0.1, 3)


def _branch(model: ModelBuilder, name: str, op: str) -> SubgraphBuilder:
    """A subgraph of two int8 inputs and one output."""
    graph = model.subgraph(name)
    a, b = _i8(graph, "a"), _i8(graph, "b")
    graph.output(*graph.op(op, [a, b], [spec(SHAPE, "INT8", 0.1, 3)], NONE))
    return graph


def _if_model() -> bytes:
    model = ModelBuilder()
    condition = model.input("condition", (1,), "BOOL")
    x, y = _i8(model, "x"), _i8(model, "y")
    add, mul = _branch(model, "sum", "ADD"), _branch(model, "product", "MUL")
    options = {"then_subgraph_index": add.index, "else_subgraph_index": mul.index}
    (z,) = model.op("IF", [condition, x, y], [spec(SHAPE, "INT8", 0.1, 3)], options)
    # x and y stay alive, so that a branch that wrote to its inputs would show
    (s,) = model.op("SUB", [x, z], [spec(SHAPE, "INT8", 0.2, 0)], NONE)
    model.output(z, s)
    return model.build()


def _passing_branches() -> bytes:
    """Branches that hand inputs on, swapped, twice, and a constant."""
    model = ModelBuilder()
    condition = model.input("condition", (1,), "BOOL")
    x, y = _i8(model, "x"), _i8(model, "y")
    one, two = model.subgraph("swap"), model.subgraph("constant")
    a, b = _i8(one, "a"), _i8(one, "b")
    one.output(b, a, a)
    _i8(two, "a")
    d = _i8(two, "b")
    c = two.const(np.arange(5, dtype=np.int8).reshape(SHAPE), "INT8", 0.1, 3)
    two.output(c, d, c)
    options = {"then_subgraph_index": one.index, "else_subgraph_index": two.index}
    made = model.op("IF", [condition, x, y], [spec(SHAPE, "INT8", 0.1, 3)] * 3, options)
    model.output(*made)
    return model.build()


def test_if(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = []
    for name, data in (("if", _if_model()), ("passing", _passing_branches())):
        samples = [
            [np.array([c])] + [rng.integers(-128, 128, SHAPE).astype(np.int8) for _ in range(2)]
            for c in (True, False, True)
        ]
        cases.append(Case(name, data, samples))
    climb(cases, tmp_path)


def _counting_loop(limit: int | None = 4, *, swap: bool = False) -> bytes:
    """for (i = start; i < limit; ++i) v = v + w; with `swap`, v and w change places as well."""
    model = ModelBuilder()
    start = model.input("start", (), "INT32")
    v, w = _i8(model, "v"), _i8(model, "w")
    test, body = model.subgraph("test"), model.subgraph("body")
    i = test.input("i", (), "INT32")
    _i8(test, "v")
    _i8(test, "w")
    if limit is None:
        test.output(test.const(np.array(True), "BOOL"))
    else:
        end = test.const(np.array(limit, np.int32), "INT32")
        test.output(*test.op("LESS", [i, end], [spec((), "BOOL")]))
    i = body.input("i", (), "INT32")
    a, b = _i8(body, "v"), _i8(body, "w")
    one = body.const(np.array(1, np.int32), "INT32")
    (following,) = body.op("ADD", [i, one], [spec((), "INT32")], NONE)
    (total,) = body.op("ADD", [a, b], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    body.output(following, *((b, a) if swap else (total, b)))
    options = {"cond_subgraph_index": test.index, "body_subgraph_index": body.index}
    outputs = [spec((), "INT32"), *[spec(SHAPE, "INT8", 0.1, 3)] * 2]
    model.output(*model.op("WHILE", [start, v, w], outputs, options))
    return model.build()


def _loop_samples(starts: list[int]) -> list[list[Array]]:
    rng = np.random.default_rng(3)
    return [
        [np.array(start, np.int32)]
        + [rng.integers(-30, 30, SHAPE).astype(np.int8) for _ in range(2)]
        for start in starts
    ]


def _nested_loop() -> bytes:
    """An IF inside the body of a loop, run by two loops of which one is inside the other."""
    model = ModelBuilder()
    i, x = model.input("i", (), "INT32"), _i8(model, "x")
    outer_test, outer = model.subgraph("outer_test"), model.subgraph("outer")
    inner_test, inner = model.subgraph("inner_test"), model.subgraph("inner")
    yes, no = model.subgraph("yes"), model.subgraph("no")
    for graph, limit in ((outer_test, 3), (inner_test, 4)):
        n = graph.input("i", (), "INT32")
        _i8(graph, "x")
        end = graph.const(np.array(limit, np.int32), "INT32")
        graph.output(*graph.op("LESS", [n, end], [spec((), "BOOL")]))
    variables = [spec((), "INT32"), spec(SHAPE, "INT8", 0.1, 3)]
    n, v = outer.input("i", (), "INT32"), _i8(outer, "x")
    zero = outer.const(np.array(0, np.int32), "INT32")
    one = outer.const(np.array(1, np.int32), "INT32")
    options = {"cond_subgraph_index": inner_test.index, "body_subgraph_index": inner.index}
    _, v = outer.op("WHILE", [zero, v], variables, options)
    (n,) = outer.op("ADD", [n, one], [spec((), "INT32")], NONE)
    outer.output(n, v)
    n, v = inner.input("i", (), "INT32"), _i8(inner, "x")
    one = inner.const(np.array(1, np.int32), "INT32")
    two = inner.const(np.array(2, np.int32), "INT32")
    (early,) = inner.op("LESS", [n, two], [spec((), "BOOL")])
    options = {"then_subgraph_index": yes.index, "else_subgraph_index": no.index}
    (v,) = inner.op("IF", [early, v], [spec(SHAPE, "INT8", 0.1, 3)], options)
    (n,) = inner.op("ADD", [n, one], [spec((), "INT32")], NONE)
    inner.output(n, v)
    for graph, op in ((yes, "ADD"), (no, "MUL")):
        v = _i8(graph, "x")
        c = graph.const(np.array([[11, 8, 9, 20, 3]], np.int8), "INT8", 0.1, 3)
        graph.output(*graph.op(op, [v, c], [spec(SHAPE, "INT8", 0.1, 3)], NONE))
    options = {"cond_subgraph_index": outer_test.index, "body_subgraph_index": outer.index}
    model.output(model.op("WHILE", [i, x], variables, options)[1])
    return model.build()


def test_while(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    nested: list[list[Array]] = [
        [np.array(i, np.int32), rng.integers(-128, 128, SHAPE).astype(np.int8)] for i in (0, 2, 5)
    ]
    climb(
        [
            Case("loop", _counting_loop(), _loop_samples([0, 3, 4, 9])),
            Case("swap", _counting_loop(5, swap=True), _loop_samples([0, 1, 4, 9])),
            Case("nested", _nested_loop(), nested),
        ],
        tmp_path,
    )


def test_a_loop_without_end_is_an_error(tmp_path: Path) -> None:
    case = Case("endless", _counting_loop(None), _loop_samples([0]))
    with pytest.raises(EdgepackError, match="status 4"):
        run_c([case], tmp_path, compiler=("gcc", "-std=c99", "-O1", "-DEP_LOOP_LIMIT=1000"))


def test_the_loops_variables_reuse_the_inputs_memory() -> None:
    """Only 5 + 5 bytes of variables, a counter, and the body's own sum: nothing is held twice."""
    program = build_program(load_tflite(_counting_loop()), Isa())
    body = program.graphs[2].plan.arena_bytes
    assert program.arena_bytes <= 4 + 8 + 8 + body + 16


def _streaming(*, initialised: bool) -> bytes:
    """state = state + x, kept in a variable; the output is the new state."""
    model = ModelBuilder()
    x = _i8(model, "x")
    if initialised:
        init = model.subgraph("init")
        value = init.const(np.array([[5, -7, 0, 100, 3]], np.int8), "INT8", 0.1, 3)
        init.op("ASSIGN_VARIABLE", [init.resource("memory"), value], [])
        model.op("CALL_ONCE", [], [], {"init_subgraph_index": init.index})
    handle = model.resource("memory")
    (old,) = model.op("READ_VARIABLE", [handle], [spec(SHAPE, "INT8", 0.1, 3)])
    (new,) = model.op("ADD", [old, x], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    model.op("ASSIGN_VARIABLE", [handle, new], [])
    (twice,) = model.op("ADD", [old, new], [spec(SHAPE, "INT8", 0.3, -8)], NONE)
    model.output(new, twice)
    return model.build()


def _counter() -> bytes:
    """No inputs at all: the output counts the inferences, in a variable that a branch changes."""
    model = ModelBuilder()
    handle = model.resource("count")
    (old,) = model.op("READ_VARIABLE", [handle], [spec((1,), "INT32")])
    limit = model.const(np.array([2], np.int32), "INT32")
    (early,) = model.op("LESS", [old, limit], [spec((1,), "BOOL")])
    graphs = []
    for name, step in (("up", 1), ("restart", -2)):
        graph = model.subgraph(name)
        graphs.append(graph.index)
        inner = graph.resource("count")
        (n,) = graph.op("READ_VARIABLE", [inner], [spec((1,), "INT32")])
        amount = graph.const(np.array([step], np.int32), "INT32")
        (n,) = graph.op("ADD", [n, amount], [spec((1,), "INT32")], NONE)
        graph.op("ASSIGN_VARIABLE", [inner, n], [])
        graph.output(n)
    options = {"then_subgraph_index": graphs[0], "else_subgraph_index": graphs[1]}
    (count,) = model.op("IF", [early], [spec((1,), "INT32")], options)
    # an assignment in the entry graph gives the variable its size in TFLM's interpreter
    model.op("ASSIGN_VARIABLE", [handle, count], [])
    model.output(count)
    return model.build()


def test_variables(tmp_path: Path) -> None:
    cases = [
        Case("plain", _streaming(initialised=False), _samples(4)),
        Case("initialised", _streaming(initialised=True), _samples(4)),
        Case("counter", _counter(), [[] for _ in range(5)]),
    ]
    climb(cases, tmp_path)


def test_init_resets_variables() -> None:
    program = build_program(load_tflite(_streaming(initialised=True)), Isa())
    names = {slot.name: (slot.size, slot.fill) for slot in program.state.slots}
    assert names["memory"] == (5, 3)
    assert len(names) == 2  # and the flag of CALL_ONCE


def _two_step(change: str) -> bytes:
    model = ModelBuilder()
    x = _i8(model, "x")
    graph = model.subgraph("callee")
    a = _i8(graph, "a", (1, 6) if change == "size" else SHAPE)
    if change == "recursion":
        condition = graph.const(np.array([True]), "BOOL")
        options = {"then_subgraph_index": 1, "else_subgraph_index": 1}
        (a,) = graph.op("IF", [condition, a], [spec(SHAPE, "INT8", 0.1, 3)], options)
    graph.output(a)
    index = 7 if change == "index" else graph.index
    condition = model.input("c", (2,) if change == "condition" else (1,), "BOOL")
    options = {"then_subgraph_index": index, "else_subgraph_index": index}
    given = [condition, x, x] if change == "count" else [condition, x]
    model.output(*model.op("IF", given, [spec(SHAPE, "INT8", 0.1, 3)], options))
    return model.build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("recursion", "call themselves"),
        ("index", "runs subgraph 7"),
        ("condition", "its condition is BOOL"),
        ("count", "2 tensors for the 1 inputs"),
        ("size", "6 bytes, for a tensor of 5"),
    ],
)
def test_refused(change: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        build_program(load_tflite(_two_step(change)), Isa())


def test_a_variable_that_is_never_assigned_is_refused() -> None:
    model = ModelBuilder()
    (value,) = model.op("READ_VARIABLE", [model.resource("lost")], [spec(SHAPE, "INT8", 0.1, 3)])
    model.output(value)
    with pytest.raises(UnsupportedError, match="'lost' is read but never assigned"):
        build_program(load_tflite(model.build()), Isa())


def test_other_signatures_are_dropped() -> None:
    model = ModelBuilder()
    x = _i8(model, "x")
    model.output(*model.op("ADD", [x, x], [spec(SHAPE, "INT8", 0.1, 3)], NONE))
    _branch(model, "nobody calls me", "ADD")
    program = build_program(load_tflite(model.build()), Isa())
    assert len(program.graphs) == 1


def test_evaluate_stops_an_endless_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepack.ops.while_.LOOP_LIMIT", 50)
    with pytest.raises(ModelError, match="still looping"):
        evaluate(load_tflite(_counting_loop(None)), _loop_samples([0])[0])
