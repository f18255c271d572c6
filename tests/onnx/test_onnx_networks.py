"""Whole ONNX networks: no TRANSPOSE at convolutions, rolled loops, one result everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx2tf", reason="pip install 'edgepack[onnx]'")

from edgepack.convert.base import ConvertOptions
from edgepack.convert.parity import LiteRt, random_samples
from edgepack.convert.report import Conversion
from edgepack.convert.run import convert
from edgepack.models.isolate import kept_child
from tests.c_batch import Case, run_c
from tests.onnx.networks import IMAGES, NETWORKS, save
from tests.oracles import run_tflm

pytestmark = [pytest.mark.needs_tf, pytest.mark.needs_oracle]
# of the outputs' range; the largest that was seen is 3e-7
TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


def same_everywhere(done: Conversion, folder: Path) -> None:
    """LiteRT, TensorFlow Lite Micro and the generated C compute the same."""
    assert done.result is not None
    data = done.path.read_bytes()
    sample = next(random_samples(done.result.inputs, 1))
    wanted = LiteRt(data)(sample)
    ((ours,),) = run_c([Case("network", data, [sample])], folder)
    for want, tflm, c in zip(wanted, run_tflm(data, list(sample)), ours, strict=True):
        scale = float(np.abs(want).max())
        np.testing.assert_allclose(tflm, want, atol=TOLERANCE * scale, rtol=0)
        np.testing.assert_allclose(c, want, atol=TOLERANCE * scale, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("shuffle", "lstm") else pytest.mark.slow)
        for name in NETWORKS
    ],
)
def test_a_network(name: str, tmp_path: Path) -> None:
    done = convert(save(name, tmp_path / "net.onnx"), tmp_path / "out", ConvertOptions())
    assert done.parity[0].max_relative < TOLERANCE
    assert done.report["transposes"]["at_convolutions"] == 0
    if name in IMAGES:
        assert done.report["transposes"]["all"] == 0
    else:
        assert done.report["operators"]["WHILE"] == 1
        assert done.report["operators"]["DYNAMIC_UPDATE_SLICE"] == 1
    same_everywhere(done, tmp_path)


def test_a_kept_layout_costs_one_transpose(tmp_path: Path) -> None:
    path = save("reshaped_head", tmp_path / "net.onnx")
    done = convert(path, tmp_path / "out", ConvertOptions(keep_nchw=True))
    assert done.report["transposes"] == {"all": 1, "at_convolutions": 1}
    assert done.result is not None and done.result.inputs[0].shape == (1, 3, 16, 16)
    assert done.parity[0].max_relative < TOLERANCE
