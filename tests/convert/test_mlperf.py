"""The MLPerf Tiny models in every form: what they convert to is what their authors published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepack.convert.base import ConvertOptions
from edgepack.convert.flatbuffer import read_model
from edgepack.convert.parity import LiteRt
from edgepack.convert.report import Conversion
from edgepack.convert.rewrites.editor import Editor
from edgepack.convert.run import convert
from edgepack.models.handle import ModelFormat
from edgepack.models.isolate import kept_child
from edgepack.types import Array

pytestmark = [pytest.mark.needs_tf, pytest.mark.needs_data]

# float32 rounds at 6e-8 of a value of 1; ten layers in another order of additions stay below this
TOLERANCE = 1e-5
SOURCES = {
    "ic": "ic.h5",
    "vww": "vww.h5",
    "ad": "ad.h5",
    "sww": "sww.h5",
    "kws": "kws_saved_model",
}
# what the models' authors state, or the sum of the shapes of their weights
PARAMETERS = {"ic": 78_666, "vww": 221_794}


@pytest.fixture(scope="module")
def converted(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Conversion]]:
    folder = tmp_path_factory.mktemp("mlperf")
    with kept_child():  # TensorFlow is imported once
        yield {
            name: convert(real_data / "mlperf_tiny" / file, folder / name, ConvertOptions())
            for name, file in SOURCES.items()
        }


def largest_difference(name: str, ours: bytes, theirs: bytes, inputs: Array) -> float:
    """Of any output value, over the range of that sample's outputs or 1."""
    first, second = LiteRt(ours), LiteRt(theirs)
    worst = 0.0
    for sample in inputs:
        (a,), (b,) = first((sample,)), second((sample,))
        assert a.shape == b.shape
        worst = max(worst, float(np.abs(a - b).max() / max(1.0, float(np.abs(b).max()))))
    return worst


@pytest.mark.parametrize("name", ["ic", "vww"])
def test_the_float_conversion_equals_the_published_one(
    name: str, converted: dict[str, Conversion], real_data: Path
) -> None:
    done = converted[name]
    published = (real_data / "mlperf_tiny" / f"{name}_float32.tflite").read_bytes()
    assert done.result is not None
    shape = done.result.inputs[0].shape
    generator = np.random.default_rng(0)
    scale = {"ic": 255.0, "vww": 1.0}[name]  # the range that the model was trained on
    inputs = (generator.uniform(0, scale, (8, *shape))).astype(np.float32)
    worst = largest_difference(name, done.path.read_bytes(), published, inputs)
    assert worst < TOLERANCE


def test_ad_equals_its_source_where_the_published_file_does_not(
    converted: dict[str, Conversion], real_data: Path
) -> None:
    """The published ad_float32.tflite leaves out every Dense bias in front of a batch norm.

    Its biases are beta - mean * s instead of beta + (bias - mean) * s. The weights are equal.
    """
    ours = constants(converted["ad"].path.read_bytes())
    theirs = constants((real_data / "mlperf_tiny" / "ad_float32.tflite").read_bytes())
    assert len(ours) == len(theirs) == 10
    for number, ((weights, bias), (wanted, without)) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(weights, wanted, atol=TOLERANCE)
        missing = float(np.abs(bias - without).max())
        assert (missing == 0) if number == 9 else (missing > 1e-4)


def constants(data: bytes) -> list[tuple[Array, Array]]:
    """Weights and biases of every dense layer."""
    model = read_model(data)
    editor, graph = Editor(model), model.subgraphs[0]
    found = []
    for operator in graph.operators:
        assert editor.name(operator) == "FULLY_CONNECTED"
        weights, bias = (editor.constant(graph, int(operator.inputs[i])) for i in (1, 2))
        assert weights is not None and bias is not None
        found.append((weights, bias))
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_the_result_computes_what_the_source_does(
    name: str, converted: dict[str, Conversion]
) -> None:
    done = converted[name]
    (parity,) = done.parity
    assert parity.inputs == "random" and parity.samples == 4 and parity.values > 0
    assert parity.max_relative < TOLERANCE
    assert done.warnings == ()
    assert done.result is not None
    assert all(-1 not in spec.shape for spec in done.result.inputs)
    if name in PARAMETERS:
        assert done.source.parameters == PARAMETERS[name]


def test_the_saved_model_keeps_its_names(converted: dict[str, Conversion]) -> None:
    done = converted["kws"]
    assert done.source.format is ModelFormat.SAVED_MODEL
    assert done.source.inputs[0].shape == (-1, 49, 10, 1)
    assert done.result is not None
    assert done.result.inputs[0].shape == (1, 49, 10, 1)
    assert done.result.inputs[0].name == done.source.inputs[0].name


def test_no_leftovers(converted: dict[str, Conversion]) -> None:
    for name, done in converted.items():
        assert not {"SHAPE", "PACK", "STRIDED_SLICE"} & set(done.report["operators"]), name
