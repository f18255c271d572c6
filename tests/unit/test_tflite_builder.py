"""The test builder's models run in two interpreters that others wrote, and agree there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgepack.types import Array
from tests.oracles import run_litert, run_tflm
from tests.tflite_builder import ModelBuilder, pack_int4, spec

pytestmark = pytest.mark.needs_oracle
RNG = np.random.default_rng(20)


def _int8(*shape: int) -> Array:
    return RNG.integers(-128, 128, shape, dtype=np.int8)


def _weights(*shape: int) -> Array:
    return RNG.integers(-127, 128, shape, dtype=np.int8)


def conv_2d() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 9, 7, 3), "INT8", 0.05, -3)
    scales = np.array([0.01, 0.02, 0.005, 0.03])
    w = m.const(_weights(4, 3, 3, 3), "INT8", scales)
    b = m.const(RNG.integers(-900, 900, 4), "INT32", scales * 0.05)
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 1, "fused_activation_function": "RELU"}
    m.output(*m.op("CONV_2D", [x, w, b], [spec((1, 5, 7, 4), "INT8", 0.21, 4)], options))
    return m


def fully_connected(dtype: str = "INT8") -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 25), "INT8", 0.07, 9)
    limit = 7 if dtype == "INT4" else 127
    w = m.const(RNG.integers(-limit, limit + 1, (6, 25)), dtype, 0.02)
    b = m.const(RNG.integers(-900, 900, 6), "INT32", 0.07 * 0.02)
    m.output(*m.op("FULLY_CONNECTED", [x, w, b], [spec((1, 6), "INT8", 0.9, -1)]))
    return m


def add() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 4, 4, 3), "INT8", 0.05, -3)
    y = m.input("y", (1, 1, 1, 3), "INT8", 0.02, 7)
    m.output(*m.op("ADD", [x, y], [spec((1, 4, 4, 3), "INT8", 0.06, 1)]))
    return m


def softmax() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 12), "INT8", 0.1, 5)
    m.output(*m.op("SOFTMAX", [x], [spec((1, 12), "INT8", 1 / 256, -128)], {"beta": 1.0}))
    return m


def reshape() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 4, 6), "INT8", 0.1, 5)
    shape = m.const(np.array([1, 24]), "INT32")
    m.output(*m.op("RESHAPE", [x, shape], [spec((1, 24), "INT8", 0.1, 5)], {"new_shape": [1, 24]}))
    return m


def _inputs(model: ModelBuilder) -> list[Array]:
    graph = model._graph
    return [_int8(*graph.tensors[i].shape) for i in graph.inputs]


@pytest.mark.parametrize("make", [conv_2d, add, softmax, reshape, lambda: fully_connected("INT4")])
def test_one_op_models_agree_in_both_interpreters(make: Callable[[], ModelBuilder]) -> None:
    model = make()
    data, inputs = model.build(), _inputs(model)
    tflm, litert = run_tflm(data, inputs), run_litert(data, inputs)
    assert len(tflm) == len(litert) == 1
    assert tflm[0].dtype == np.int8 and len(np.unique(tflm[0])) > 3
    np.testing.assert_array_equal(tflm[0], litert[0])


def test_fully_connected_runs_in_both_and_differs_by_one_at_most() -> None:
    # LiteRT's reference kernel rounds once where TFLM rounds twice.
    model = fully_connected()
    data, inputs = model.build(), _inputs(model)
    tflm, litert = run_tflm(data, inputs)[0], run_litert(data, inputs)[0]
    assert np.abs(tflm.astype(int) - litert.astype(int)).max() <= 1


def test_while_with_subgraphs_counts_to_ten() -> None:
    m = ModelBuilder()
    x = m.input("x", (1,), "INT32")
    cond, body = m.subgraph("cond"), m.subgraph("body")
    c = cond.input("c", (1,), "INT32")
    cond.output(*cond.op("LESS", [c, cond.const([10], "INT32")], [spec((1,), "BOOL")]))
    v = body.input("v", (1,), "INT32")
    body.output(*body.op("ADD", [v, body.const([3], "INT32")], [spec((1,), "INT32")]))
    options = {"cond_subgraph_index": cond.index, "body_subgraph_index": body.index}
    m.output(*m.op("WHILE", [x], [spec((1,), "INT32")], options))
    data = m.build()
    for run in (run_tflm, run_litert):
        assert run(data, [np.array([2], np.int32)])[0].tolist() == [11]


def test_resource_variable_is_read_and_assigned() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 3), "INT8", 0.1, 0)
    handle = m.resource("state")
    (before,) = m.op("READ_VARIABLE", [handle], [spec((1, 3), "INT8", 0.1, 0)])
    (after,) = m.op("ADD", [x, before], [spec((1, 3), "INT8", 0.1, 0)])
    m.op("ASSIGN_VARIABLE", [handle, after], [])
    m.output(after)
    value = np.array([[1, 2, 3]], np.int8)
    assert run_tflm(m.build(), [value])[0].tolist() == [[1, 2, 3]]


def test_several_outputs_keep_their_order() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 6), "INT8", 0.1, 0)
    axis = m.const([1], "INT32")
    halves = m.op("SPLIT", [axis, x], [spec((1, 3), "INT8", 0.1)] * 2, {"num_splits": 2})
    m.output(halves[1], halves[0])
    value = np.arange(6, dtype=np.int8).reshape(1, 6)
    for run in (run_tflm, run_litert):
        assert [o.tolist() for o in run(m.build(), [value])] == [[[3, 4, 5]], [[0, 1, 2]]]


def test_constants_are_aligned_in_the_file() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 2), "INT32")
    marker = np.array([0x11223344, 0x55667788], np.int32)
    m.const(np.array([1, 2, 3]), "INT8")  # shifts what follows off alignment if nothing aligns it
    m.output(*m.op("ADD", [x, m.const(marker.reshape(1, 2), "INT32")], [spec((1, 2), "INT32")]))
    assert m.build().index(marker.tobytes()) % 16 == 0


def test_int4_is_packed_low_nibble_first() -> None:
    assert pack_int4(np.array([1, -2, 7], np.int8)) == bytes([0xE1, 0x07])
    with pytest.raises(ValueError, match="INT4 holds"):
        pack_int4(np.array([8], np.int8))


def test_mistakes_are_refused() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 2), "INT8", 0.1)
    out = [spec((1, 2), "INT8", 0.1)]
    with pytest.raises(ValueError, match="no option betta"):
        m.op("SOFTMAX", [x], out, {"betta": 1.0})
    with pytest.raises(ValueError, match="BuiltinOperator has no SOFTMAXX"):
        m.op("SOFTMAXX", [x], out)
    with pytest.raises(ValueError, match="TensorType has no INT9"):
        m.input("z", (1,), "INT9")
    with pytest.raises(ValueError, match="do not fit INT8"):
        m.const([128], "INT8")
    with pytest.raises(ValueError, match="no output"):
        ModelBuilder().build()
