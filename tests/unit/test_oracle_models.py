"""The oracle on the MLPerf Tiny models: outputs, every intermediate tensor, accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.bench.accuracy import top1
from edgepack.bench.data import load_samples
from edgepack.bench.host_reference import run_host
from edgepack.bench.model_facts import model_facts
from edgepack.bench.oracle import Oracle
from edgepack.manifest import TensorInfo
from edgepack.types import Array
from tests.oracles import litert_all_tensors, run_tflm, tflm_all_tensors

pytestmark = [pytest.mark.needs_oracle, pytest.mark.needs_data]

INPUTS = {
    "kws": (1, 49, 10, 1),
    "ic": (1, 32, 32, 3),
    "vww": (1, 96, 96, 3),
    "ad": (1, 640),
    "sww": (1, 30, 1, 40),
}


def _input(name: str) -> Array:
    return np.random.default_rng(1).integers(-128, 128, INPUTS[name]).astype(np.int8)


@pytest.mark.parametrize("name", INPUTS)
def test_every_tensor_is_read_and_the_last_is_the_output(real_data: Path, name: str) -> None:
    model = (real_data / "mlperf_tiny" / f"{name}_int8.tflite").read_bytes()
    value = _input(name)
    tensors = tflm_all_tensors(model, [value])
    facts = model_facts(model).subgraphs[0]
    assert set(tensors) == set(facts.computed) and len(tensors) > 4
    np.testing.assert_array_equal(tensors[facts.inputs[0]], value)
    np.testing.assert_array_equal(tensors[facts.outputs[0]], run_tflm(model, [value])[0])
    assert all(t.dtype == np.int8 for t in tensors.values())


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "sww"])
def test_litert_has_the_same_tensors_up_to_the_first_dense_layer(
    real_data: Path, name: str
) -> None:
    # Convolutions of the reference kernels agree byte for byte; FULLY_CONNECTED rounds differently.
    model = (real_data / "mlperf_tiny" / f"{name}_int8.tflite").read_bytes()
    ours = tflm_all_tensors(model, [_input(name)])
    theirs = litert_all_tensors(model, [_input(name)])
    assert ours.keys() == theirs.keys()
    equal = [np.array_equal(ours[i], theirs[i]) for i in sorted(ours)]
    assert sum(equal) >= len(equal) - 2  # the dense layer, and the softmax behind it


def test_kws_accuracy_of_oracle_and_host_agree_within_two_samples(real_data: Path) -> None:
    # 90.1 % and 90.2 %: XNNPACK rounds otherwise than TFLM, which moves a sample near a tie.
    tensor = TensorInfo(
        name="x", shape=(1, 49, 10, 1), dtype="INT8", bytes=490, scale=0.5847, zero_point=83
    )
    model = (real_data / "mlperf_tiny" / "kws_int8.tflite").read_bytes()
    samples = load_samples(real_data / "kws01" / "kws01_int8.npz", [tensor])
    assert samples.count == 1000 and samples.labels is not None
    with Oracle(model) as oracle:
        truth = top1(oracle.run(samples.inputs)[0], samples.labels)
    host = top1(run_host(model, samples.inputs).outputs[0], samples.labels)
    assert truth == pytest.approx(0.902, abs=0.0021)
    assert host == pytest.approx(0.902, abs=0.0021)
