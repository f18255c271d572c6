from __future__ import annotations

import numpy as np
import pytest

from edgepack.bench.host_reference import Kernels, run_host
from tests.tflite_builder import ModelBuilder, spec


def _model() -> bytes:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "INT8", 0.1, 0)
    m.output(*m.op("ADD", [x, x], [spec((1, 8), "INT8", 0.1, 0)]))
    return m.build()


@pytest.mark.parametrize("kernels", ["xnnpack", "optimized", "reference"])
def test_every_kernel_set_runs_and_is_timed(kernels: Kernels) -> None:
    samples = np.arange(70 * 8, dtype=np.int64).reshape(70, 1, 8).astype(np.int8) // 4
    result = run_host(_model(), [samples], kernels=kernels)
    np.testing.assert_array_equal(result.outputs[0], samples * 2)
    times = result.latency_us
    assert times.n == 100  # 70 samples, repeated up to the number that a percentile needs
    assert 0 < times.min <= times.median <= times.p95 <= times.max
    assert result.threads == 1 and result.version


def test_warm_up_and_timing_leave_the_state_of_a_model_alone() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 2), "FLOAT32")
    start = m.subgraph("start")  # LiteRT reads garbage from a variable that nothing assigned
    start.op("ASSIGN_VARIABLE", [start.resource("sum"), start.const([[0, 0]], "FLOAT32")], [])
    m.op("CALL_ONCE", [], [], {"init_subgraph_index": start.index})
    handle = m.resource("sum")
    (before,) = m.op("READ_VARIABLE", [handle], [spec((1, 2), "FLOAT32")])
    (after,) = m.op("ADD", [x, before], [spec((1, 2), "FLOAT32")])
    m.op("ASSIGN_VARIABLE", [handle, after], [])
    m.output(after)
    ones = np.ones((3, 1, 2), np.float32)
    assert run_host(m.build(), [ones]).outputs[0][:, 0, 0].tolist() == [1, 2, 3]
    assert run_host(m.build(), [ones], fresh=True).outputs[0][:, 0, 0].tolist() == [1, 1, 1]
