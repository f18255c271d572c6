"""examples/digits: the committed model is good, and the flow that made it repeats to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.compress.apply import apply
from edgepack.config import load_config
from edgepack.models.dataset import Samples
from edgepack.models.entry import parse_entry, run_data_entry, run_model_entry
from edgepack.models.isolate import warm_children
from edgepack.models.litert import run_samples
from edgepack.models.load import load_model
from edgepack.quantize.int8 import Quantized, quantize_int8
from edgepack.quantize.validate import check_full_integer

ACCURACY = 0.97  # what the example promises of 450 test images; 0.982 was measured


@pytest.fixture
def folder(checkout: Path) -> Path:
    return checkout / "examples" / "digits"


def test_the_committed_model_recognises_digits(folder: Path) -> None:
    handle = load_model(folder / "digits_int8.tflite")
    with np.load(folder / "digits_test.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    assert (x.shape, x.dtype, len(y)) == ((450, 8, 8, 1), np.dtype(np.int8), 450)
    outputs = [output[0][0] for output in run_samples(handle, Samples((x,), y))]
    assert (np.array(outputs).argmax(axis=1) == y).mean() >= ACCURACY


def run_flow(folder: Path, out: Path) -> Quantized:
    config = load_config(folder)
    assert config.data is not None and config.quantize is not None
    seed = config.model.seed
    with warm_children(3):
        data = run_data_entry(parse_entry(config.data.source, folder), out / "data", seed=seed)
        entry = parse_entry(config.model.source, folder)
        trained = run_model_entry(entry, out / "model", data=data, seed=seed)
        compressed = apply(trained, config.compress, data, out / "compress")
        return quantize_int8(compressed.handle, config.quantize, data, out / "quantize")


@pytest.mark.slow
@pytest.mark.needs_tf
def test_the_flow_repeats_to_the_byte_and_matches_the_committed_model(
    folder: Path, tmp_path: Path
) -> None:
    first, second = (run_flow(folder, tmp_path / name) for name in ("first", "second"))
    for name in ("model/model.keras", "compress/compress.json", "quantize/model.tflite",
                 "quantize/recipe.json", "quantize/test.npz"):  # fmt: skip
        assert (tmp_path / "first" / name).read_bytes() == (
            tmp_path / "second" / name
        ).read_bytes(), name
    assert first.recipe == second.recipe
    assert first.recipe["test"]["int8"]["value"] >= ACCURACY
    # Weights may differ on another processor, the network may not.
    committed = folder / "digits_int8.tflite"
    assert check_full_integer(first.handle.path) == check_full_integer(committed)
    assert load_model(committed).parameters == first.handle.parameters
    with np.load(first.test_data) as fresh, np.load(folder / "digits_test.npz") as kept:
        np.testing.assert_array_equal(fresh["x"], kept["x"])
        np.testing.assert_array_equal(fresh["y"], kept["y"])
