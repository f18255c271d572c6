"""Recurrent layers of Keras stay loops, which TensorFlow Lite Micro and our C run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepack.convert.base import ConvertOptions
from edgepack.convert.parity import LiteRt, random_samples
from edgepack.convert.run import convert
from edgepack.models.isolate import Task, kept_child, run_task
from tests.c_batch import Case, run_c
from tests.oracles import run_tflm

pytestmark = [pytest.mark.needs_tf, pytest.mark.needs_oracle]
SECONDS = 300.0
LAYERS = {
    "lstm": "layers.LSTM(6, return_sequences=True)(x)",
    "gru": "layers.GRU(6, return_sequences=True)(x)",
    "simple": "layers.SimpleRNN(6, return_sequences=True)(x)",
    "both_ways": "layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)",
    "stacked": "layers.GRU(4)(layers.LSTM(6, return_sequences=True)(x))",
}


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "stacked" else pytest.mark.slow) for n in LAYERS],
)
def test_sequences_come_out_the_same_everywhere(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    arguments = {"expression": LAYERS[name], "shape": [1, 7, 5], "out": str(path)}
    run_task(Task("tests.convert.tasks:save_layer", arguments, "saving", SECONDS))
    done = convert(path, tmp_path / "out", ConvertOptions())
    operators = done.report["operators"]
    assert operators["WHILE"] == (2 if name in ("both_ways", "stacked") else 1)
    assert operators["DYNAMIC_UPDATE_SLICE"] >= 1
    assert done.parity[0].max_relative < 1e-6
    assert done.result is not None
    data = done.path.read_bytes()
    sample = next(random_samples(done.result.inputs, 1))
    (wanted,) = LiteRt(data)(sample)
    (in_tflm,) = run_tflm(data, list(sample))
    (((in_c,),),) = run_c([Case(name, data, [sample])], tmp_path)
    np.testing.assert_allclose(in_tflm, wanted, atol=1e-6)
    np.testing.assert_allclose(in_c, wanted, atol=1e-6)
