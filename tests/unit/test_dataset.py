"""Samples and labels from every accepted naming, and clear refusals of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import DataError
from edgepack.models.dataset import GIVEN_SPLIT, dataset_from, read_dataset, write_dataset
from edgepack.models.metrics import evaluate

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10, dtype=np.uint8)


def test_keras_pairs_and_names_mean_the_same() -> None:
    pairs = dataset_from(((X[:7], Y[:7]), (X[7:], Y[7:])), "pairs")
    names = dataset_from(
        {"x_train": X[:7], "y_train": Y[:7], "x_test": X[7:], "y_test": Y[7:]}, "names"
    )
    for dataset in (pairs, names):
        assert dataset.split == GIVEN_SPLIT
        assert (len(dataset.train), len(dataset.test)) == (7, 3)
        np.testing.assert_array_equal(dataset.test.inputs[0], X[7:])


def test_an_unsplit_set_is_parted_without_overlap_and_says_so() -> None:
    dataset = dataset_from({"x": X, "y": Y}, "file")
    assert dataset.train.labels is not None and dataset.test.labels is not None
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    assert sorted([*dataset.train.labels, *dataset.test.labels]) == list(range(10))
    np.testing.assert_array_equal(dataset.train.inputs[0], X[dataset.train.labels])
    assert dataset.split == "2 of 10 samples drawn for the test with seed 0"


def test_a_written_set_is_read_again_byte_for_byte(tmp_path: Path) -> None:
    two = {"input_0": X, "input_1": X.astype(np.int16), "y": Y}
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    dataset = dataset_from(two, "two inputs")
    write_dataset(first, dataset)
    again = read_dataset(first)
    assert again.split == dataset.split
    for got, wanted in zip(again.train.inputs, dataset.train.inputs, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    write_dataset(second, again)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"images": X}, "holds images"),
        ({}, "holds nothing"),
        ({"x": X, "y": Y[:9]}, "10 samples of the first input, 9"),
        ({"x": X[:0]}, "no samples"),
        ({"x": np.float32(3.0)}, "no samples"),
        ({"x": X[:1]}, "one sample"),
        ({"x": np.where(X == 3, np.nan, X)}, "NaN"),
        ({"x": np.array(["a", "b"])}, "array of <U1"),
        ({"x_train": X, "train_input_1": X, "x_test": X, "test_input_0": X}, None),
        (3, "gave a int"),
    ],
)
def test_what_is_no_data_set_is_refused(value: object, message: str | None) -> None:
    if message is None:
        assert len(dataset_from(value, "x wins over input_0").train.inputs) == 1
        return
    with pytest.raises(DataError, match=message):
        dataset_from(value, "source")


def test_pickles_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    with pytest.raises(DataError, match="does not exist"):
        read_dataset(path)
    np.savez(path, x=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(DataError, match="not a readable"):
        read_dataset(path)
    np.savez(path, x=X, y=Y)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            read_dataset(path)


def test_no_damage_ends_in_a_traceback(tmp_path: Path) -> None:
    path, draw = tmp_path / "d.npz", np.random.default_rng(0)
    np.savez_compressed(path, x=draw.random((200, 20), np.float32), y=np.arange(200) % 3)
    whole = path.read_bytes()
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        # the first bytes and the last ones hold the flags, methods and sizes
        places = (draw.integers(60), -1 - draw.integers(250), draw.integers(len(whole)))
        damaged[places[draw.integers(3)]] = draw.integers(256)
        path.write_bytes(damaged)
        try:
            read_dataset(path)
        except DataError:
            refused += 1
    assert refused > 200
    single = tmp_path / "x.npy"
    single.write_bytes(whole)
    with pytest.raises(DataError, match=r"is an \.npz file"):
        read_dataset(single)


def test_metrics() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5], [0.3, 0.7]])
    top1 = evaluate(scores, np.array([1, 1, 0, 1], dtype=np.uint8))
    assert top1 is not None
    assert (top1.name, top1.value, top1.n) == ("top1", 0.75, 4)
    mse = evaluate(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    assert mse is not None
    assert (mse.name, mse.value) == ("mse", 2.0)
    assert evaluate(scores, None) is None
    assert evaluate(scores, np.zeros((4, 3))) is None


def test_a_table_and_a_folder_of_pictures_are_data_sets(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install edgepack[images]")
    rows = "\n".join(f"{i},{i * 2},{i % 3}" for i in range(10))
    (tmp_path / "t.csv").write_text(f"a,b,label\n{rows}\n")
    dataset = read_dataset(tmp_path / "t.csv")
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    assert dataset.test.inputs[0].shape == (2, 2) and dataset.test.labels is not None
    folder = tmp_path / "pictures"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            image.fromarray(np.full((4, 6), i, np.uint8)).save(folder / name / f"{i}.png")
    with pytest.raises(DataError, match="does not say which numbers"):
        read_dataset(folder)
    text = '[image]\nvalues = [0, 1]\nsize = [4, 6]\nmode = "gray"\n'
    (folder / "data.toml").write_text(text)
    dataset = read_dataset(folder)
    assert dataset.train.inputs[0].shape == (8, 4, 6, 1)
    assert dataset.train.labels is not None and set(dataset.train.labels) == {0, 1}


def test_a_configuration_may_name_a_table(tmp_path: Path) -> None:
    from edgepack.cache import Cache
    from edgepack.config import load_config
    from edgepack.models.progress import silent
    from edgepack.pipeline.model import _data_file

    (tmp_path / "t.csv").write_text("1,2\n3,4\n5,6\n")
    config = '[model]\nsource = "m.tflite"\n[data]\nsource = "t.csv"\n[build]\ntarget = "host"\n'
    (tmp_path / "edgepack.toml").write_text(config)
    cache = Cache(tmp_path / "cache")
    path = _data_file(load_config(tmp_path), cache, silent)
    assert read_dataset(path).train.inputs[0].shape == (2, 2)
    assert _data_file(load_config(tmp_path), cache, silent) == path
    (tmp_path / "t.toml").write_text("[csv]\nshape = [2, 1]\n")
    other = _data_file(load_config(tmp_path), cache, silent)
    assert other != path and read_dataset(other).train.inputs[0].shape == (2, 2, 1)
