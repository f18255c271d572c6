from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.bench.data import convert, load_samples, quantize, random_samples, save_outputs
from edgepack.errors import DataError
from edgepack.manifest import TensorInfo
from edgepack.types import Array, DType

INT8 = TensorInfo(
    name="image", shape=(1, 4, 4, 1), dtype="INT8", bytes=16, scale=0.5, zero_point=-3
)
FLOAT = TensorInfo(name="state", shape=(1, 3), dtype="FLOAT32", bytes=12)


def _write(path: Path, **arrays: Array) -> Path:
    np.savez(path, allow_pickle=False, **arrays)
    return path


def test_floats_are_quantized_as_tflite_does() -> None:
    values = np.array([0.0, 0.25, -0.25, 0.24, 1.0, 1000.0, -1000.0])
    got = quantize(values, 0.5, -3, DType.INT8)
    assert got.dtype == np.int8
    # 0.25 / 0.5 = 0.5 goes away from zero; the ends saturate
    assert got.tolist() == [-3, -2, -4, -3, -1, 127, -128]


@pytest.mark.parametrize("name", ["image", "input_0", "x"])
def test_an_input_is_found_under_each_of_its_names(tmp_path: Path, name: str) -> None:
    array = np.arange(32, dtype=np.int8).reshape(2, 4, 4, 1)
    path = _write(tmp_path / "d.npz", **{name: array}, y=np.array([3, 1], np.uint8))
    samples = load_samples(path, [INT8])
    assert samples.inputs[0].shape == (2, 1, 4, 4, 1)
    assert samples.labels is not None and samples.labels.tolist() == [3, 1]
    assert samples.payload(1) == array[1].tobytes()
    assert samples.origin == "d.npz"


def test_several_inputs_travel_in_model_order(tmp_path: Path) -> None:
    image = np.zeros((2, 4, 4), np.int8)
    state = np.array([[1, 2, 3], [4, 5, 6]], np.float64)
    path = _write(tmp_path / "d.npz", input_1=state, input_0=image)
    samples = load_samples(path, [INT8, FLOAT])
    assert samples.payload(1) == bytes(16) + np.array([4, 5, 6], np.float32).tobytes()


def test_the_limit_takes_the_first_samples(tmp_path: Path) -> None:
    path = _write(tmp_path / "d.npz", x=np.zeros((5, 4, 4), np.int8), y=np.arange(5))
    samples = load_samples(path, [INT8], limit=2)
    assert samples.count == 2 and samples.labels is not None and len(samples.labels) == 2
    assert load_samples(path, [INT8], limit=50).count == 5
    assert samples.digest != load_samples(path, [INT8]).digest
    assert samples.digest == load_samples(path, [INT8]).take(2).digest


def test_axes_of_length_one_may_be_missing() -> None:
    for shape in [(2, 4, 4), (2, 4, 4, 1), (2, 1, 4, 4, 1), (2, 1, 4, 4)]:
        assert convert(np.zeros(shape, np.int8), INT8, "x").shape == (2, 1, 4, 4, 1)


@pytest.mark.parametrize(
    ("arrays", "message", "allowed"),
    [
        ({"x": np.zeros((2, 5, 4), np.int8)}, "array x has shape 2x5x4", "Nx1x4x4x1"),
        ({"x": np.zeros((2, 16), np.int8)}, "array x has shape 2x16", "Nx1x4x4x1"),
        ({"x": np.zeros((2, 4, 4), np.uint8)}, "array x holds uint8", "128 taken off"),
        ({"x": np.full((2, 4, 4), 200)}, "array x holds int64", "int8"),
        ({"x": np.zeros((2, 4, 4), np.complex64)}, "array x holds complex64", "int8"),
        ({"x": np.full((2, 4, 4), np.nan)}, "array x holds NaN or infinity", "finite"),
        ({"x": np.zeros((0, 4, 4), np.int8)}, "holds no samples", None),
        ({"x": np.int8(3)}, "array x is a single number", "one row per sample"),
        ({"z": np.zeros((2, 4, 4), np.int8)}, "it holds z", "image or input_0 or x"),
        ({"x": np.zeros((2, 4, 4), np.int8), "y": np.zeros(3, int)}, "array y has shape 3", "2 "),
        ({"x": np.zeros((2, 4, 4), np.int8), "y": np.zeros(2)}, "of float64", "integers"),
    ],
)
def test_wrong_arrays_are_named_with_what_is_allowed(
    tmp_path: Path, arrays: dict[str, Array], message: str, allowed: str | None
) -> None:
    path = _write(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError) as caught:
        load_samples(path, [INT8])
    assert message in caught.value.message
    assert allowed is None or allowed in (caught.value.allowed or "")


def test_inputs_of_different_length_are_refused(tmp_path: Path) -> None:
    arrays: dict[str, Array] = {
        "image": np.zeros((2, 4, 4), np.int8),
        "state": np.zeros((3, 3), np.float32),
    }
    with pytest.raises(DataError, match="image has 2, state has 3"):
        load_samples(_write(tmp_path / "d.npz", **arrays), [INT8, FLOAT])


def test_files_that_are_no_npz_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_samples(tmp_path / "none.npz", [INT8])
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        load_samples(text, [INT8])
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match="single array"):
        load_samples(tmp_path / "a.npy", [INT8])
    whole = _write(tmp_path / "whole.npz", x=np.zeros((2, 4, 4), np.int8)).read_bytes()
    cut = tmp_path / "cut.npz"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load_samples(cut, [INT8])


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="array x cannot be read"):
        load_samples(path, [INT8])


def test_random_samples_depend_on_the_seed_alone() -> None:
    first, again, other = (random_samples([INT8, FLOAT], 50, seed=s) for s in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert first.inputs[0].min() < -100 and first.inputs[0].max() > 100
    assert first.inputs[1].dtype == np.float32 and np.abs(first.inputs[1]).max() <= 1
    assert first.labels is None and first.origin == "random (seed 1)"
    index = TensorInfo(name="i", shape=(4,), dtype="INT32", bytes=16)
    assert set(random_samples([index], 50).inputs[0].ravel().tolist()) == {0, 1}
    with pytest.raises(DataError, match="cannot run 0 samples"):
        random_samples([INT8], 0)


def test_outputs_are_saved_under_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "Y"  # numpy alone would write Y.npz
    outputs: list[Array] = [np.arange(6, dtype=np.int8).reshape(2, 3), np.ones((2, 1), np.float32)]
    save_outputs(path, outputs)
    with np.load(path) as loaded:
        assert loaded.files == ["output_0", "output_1"]
        np.testing.assert_array_equal(loaded["output_0"], outputs[0])
    with pytest.raises(DataError, match="cannot write"):
        save_outputs(tmp_path / "none" / "Y.npz", outputs)
