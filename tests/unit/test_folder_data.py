"""CSV files and folders of pictures as samples: declared preprocessing, and errors that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.bench.data import load_samples
from edgepack.errors import DataError
from edgepack.manifest import TensorInfo
from edgepack.models.csv_data import read_rows
from edgepack.models.image_data import read_pictures

Image = pytest.importorskip("PIL.Image", reason="pip install edgepack[images]")

RGB = TensorInfo(
    name="x", shape=(1, 4, 6, 3), dtype="INT8", bytes=72, scale=1 / 255, zero_point=-128
)
GRAY = TensorInfo(name="x", shape=(1, 4, 6, 1), dtype="FLOAT32", bytes=96)
ROW = TensorInfo(name="x", shape=(1, 3), dtype="INT8", bytes=3, scale=0.5, zero_point=1)


def _picture(path: Path, value: Any, size: tuple[int, int] = (4, 6)) -> None:
    """A PNG of height x width whose every pixel is `value` (a number or one per channel)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size, 3) if isinstance(value, tuple) else size, np.uint8)
    pixels[:] = value
    Image.fromarray(pixels).save(path)


def _describe(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "data.toml").write_text(text)
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three pictures of cats, two of dogs."""
    folder = _describe(tmp_path / "d", "[image]\nvalues = [0, 1]\n")
    for i in range(3):
        _picture(folder / "cat" / f"{i}.png", (10 * i, 0, 255))
    for i in range(2):
        _picture(folder / "dog" / f"{i}.png", (0, 200 + i, 0))
    return folder


def test_class_folders_are_read_in_turn_and_quantized(classes: Path) -> None:
    samples = load_samples(classes, [RGB])
    assert samples.labels is not None and samples.labels.tolist() == [0, 1, 0, 1, 0]
    (values,) = samples.inputs
    assert values.shape == (5, 1, 4, 6, 3) and values.dtype == np.int8
    # with scale 1/255 and zero point -128 a pixel p becomes p - 128
    assert values[2, 0, 0, 0].tolist() == [10 - 128, -128, 127]
    assert values[1, 0, 3, 5].tolist() == [-128, 72, -128]
    limited = load_samples(classes, [RGB], limit=2)
    assert limited.labels is not None and limited.labels.tolist() == [0, 1]
    assert samples.digest != limited.digest and samples.origin == "d"


def test_declared_classes_set_the_numbers(classes: Path) -> None:
    _describe(classes, '[image]\nvalues = [0, 1]\n[labels]\nclasses = ["dog", "bird", "cat"]\n')
    samples = load_samples(classes, [RGB])
    assert samples.labels is not None and sorted(samples.labels.tolist()) == [0, 0, 2, 2, 2]
    _describe(classes, '[image]\nvalues = [0, 1]\n[labels]\nclasses = ["dog", "bird"]\n')
    with pytest.raises(DataError, match="the label 'cat' is no class") as caught:
        load_samples(classes, [RGB])
    assert caught.value.allowed == "dog, bird"


def test_bytes_travel_unchanged(classes: Path) -> None:
    _describe(classes, '[image]\nvalues = "bytes"\n')
    scaled = TensorInfo(**{**RGB.model_dump(), "scale": 0.03, "zero_point": 5})
    (values,) = load_samples(classes, [scaled]).inputs
    assert values[2, 0, 0, 0].tolist() == [10 - 128, -128, 127]


def test_range_mean_and_std_are_applied_to_each_channel(classes: Path) -> None:
    real = TensorInfo(name="x", shape=(1, 4, 6, 3), dtype="FLOAT32", bytes=288)
    _describe(classes, "[image]\nvalues = [-1, 1]\n")
    (values,) = load_samples(classes, [real]).inputs
    np.testing.assert_allclose(values[0, 0, 0, 0], [-1, -1, 1], rtol=1e-6)
    _describe(classes, "[image]\nvalues = [0, 255]\nmean = [5, 0, 55]\nstd = [2, 1, 100]\n")
    (values,) = load_samples(classes, [real]).inputs
    np.testing.assert_allclose(values[2, 0, 0, 0], [2.5, 0, 2], rtol=1e-5)
    _describe(classes, "[image]\nvalues = [0, 255]\nmean = [5, 0]\n")
    with pytest.raises(DataError, match="mean has 2 numbers"):
        load_samples(classes, [real])


def test_a_list_of_labels(tmp_path: Path) -> None:
    folder = _describe(tmp_path / "d", "[image]\nvalues = [0, 255]\n")
    for name, value in (("a.png", 1), ("b.png", 2), ("deep/c.png", 3)):
        _picture(folder / name, value)
    (folder / "labels.txt").write_text("# file label\nb.png 7\n\ndeep/c.png 0\n")
    samples = load_samples(folder, [GRAY])
    assert samples.labels is not None and samples.labels.tolist() == [7, 0]
    assert samples.inputs[0][:, 0, 0, 0, 0].tolist() == [2, 3]
    for text, message in (
        ("b.png\n", "line 1 has 1 words"),
        ("b.png 7\nz.png 1\n", r"line 2: .*z\.png does not exist"),
        ("b.png seven\n", "line 1: the label 'seven' is no class"),
        ("\n", "lists no pictures"),
    ):
        (folder / "labels.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            load_samples(folder, [GRAY])
    (folder / "labels.txt").unlink()
    (folder / "labels.csv").write_text("a.png,3\n")
    labels = load_samples(folder, [GRAY]).labels
    assert labels is not None and labels.tolist() == [3]


def test_pictures_without_labels(tmp_path: Path) -> None:
    folder = _describe(tmp_path / "d", "[image]\nvalues = [0, 1]\n")
    _picture(folder / "a.png", 255)
    samples = load_samples(folder, [GRAY])
    assert samples.labels is None and samples.inputs[0].max() == 1.0


@pytest.mark.parametrize(
    ("fit", "pixels"),
    # a picture of 8 x 6 as 4 x 6: squeezed; its middle rows; whole, with borders at the sides
    [("stretch", [255, 100, 50, 0]), ("crop", [100, 100, 50, 50]), ("pad", [255, 100, 50, 0])],
)
def test_other_sizes_only_as_declared(tmp_path: Path, fit: str, pixels: list[int]) -> None:
    folder = _describe(tmp_path / "d", "[image]\nvalues = [0, 255]\n")
    tall = np.repeat(np.array([255, 100, 50, 0], np.uint8), 2)[:, np.newaxis].repeat(6, axis=1)
    Image.fromarray(tall).save(folder / "a.png")
    with pytest.raises(DataError, match="is 8 x 6") as caught:
        load_samples(folder, [GRAY])
    assert caught.value.next_step is not None and "fit =" in caught.value.next_step
    _describe(folder, f'[image]\nvalues = [0, 255]\nfit = "{fit}"\nfilter = "box"\n')
    (values,) = load_samples(folder, [GRAY]).inputs
    assert values[0, 0, :, 2, 0].tolist() == pixels
    borders = values[0, 0, 0, [0, 5], 0].tolist()
    assert borders == ([0, 0] if fit == "pad" else [pixels[0]] * 2)


def test_what_is_wrong_is_named(tmp_path: Path, classes: Path) -> None:
    (classes / "data.toml").unlink()
    with pytest.raises(DataError, match="does not say which numbers") as caught:
        load_samples(classes, [RGB])
    assert caught.value.next_step is not None and "data.toml" in caught.value.next_step
    for text, message in (
        ("[image]\nvalue = [0, 1]\n", "image.value"),
        ("[image]\nvalues = [1, 1]\n", "two different numbers"),
        ('[image]\nvalues = "bytes"\nmean = [1]\n', "mean and std need"),
        ("[image\n", "cannot be read"),
    ):
        _describe(classes, text)
        with pytest.raises(DataError, match=message):
            load_samples(classes, [RGB])
    _describe(classes, "[image]\nvalues = [0, 1]\n")
    (classes / "cat" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"0\.png cannot be read as a picture"):
        load_samples(classes, [RGB])
    with pytest.raises(DataError, match="holds no pictures"):
        load_samples(_describe(tmp_path / "e", "[image]\nvalues = [0, 1]\n"), [RGB])
    with pytest.raises(DataError, match="784 is no picture"):
        flat = TensorInfo(name="x", shape=(1, 784), dtype="INT8", bytes=784)
        load_samples(classes, [flat])
    with pytest.raises(DataError, match="2 inputs"):
        load_samples(classes, [RGB, RGB])
    _picture(classes / "stray.png", 1)
    with pytest.raises(DataError, match="beside class folders"):
        load_samples(classes, [RGB])


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    folder = _describe(tmp_path / "d", "[image]\nvalues = [0, 1]\n")
    Image.fromarray(np.full((4, 6), 60_000, np.uint16)).save(folder / "a.png")
    with pytest.raises(DataError, match="pixels of mode I"):
        load_samples(folder, [GRAY])


def test_without_a_model_size_and_mode_are_declared(classes: Path) -> None:
    with pytest.raises(DataError, match="lacks the pictures' size"):
        read_pictures(classes)
    _describe(classes, '[image]\nvalues = "bytes"\nsize = [4, 6]\nmode = "gray"\n')
    pictures = read_pictures(classes)
    assert pictures.values.shape == (5, 4, 6, 1) and pictures.values.dtype == np.uint8
    assert pictures.classes == ("cat", "dog")


def _table(tmp_path: Path, text: str, description: str = "") -> Path:
    path = tmp_path / "t.csv"
    path.write_text(text)
    if description:
        path.with_suffix(".toml").write_text(description)
    return path


def test_a_table_with_header_and_label(tmp_path: Path) -> None:
    path = _table(tmp_path, "a,label,b,c\n0.5,1,1,-1\n\n1e3,0,0.26,0\n")
    samples = load_samples(path, [ROW])
    assert samples.labels is not None and samples.labels.tolist() == [1, 0]
    assert samples.inputs[0].tolist() == [[[2, 3, -1]], [[127, 2, 1]]]
    assert samples.origin == "t.csv"
    assert load_samples(path, [ROW], limit=1).count == 1


def test_a_table_without_header(tmp_path: Path) -> None:
    samples = load_samples(_table(tmp_path, "1,2,3\n4,5,6\n"), [ROW])
    assert samples.labels is None and samples.count == 2
    path = _table(tmp_path, "1;2;3;cat\n4;5;6;dog\n", '[csv]\ndelimiter = ";"\nlabel = 3\n'
                  '[labels]\nclasses = ["dog", "cat"]\n')  # fmt: skip
    labels = load_samples(path, [ROW]).labels
    assert labels is not None and labels.tolist() == [1, 0]


def test_columns_and_shape_are_declared(tmp_path: Path) -> None:
    path = _table(tmp_path, "id,c,b,a,k\n9,3,2,1,0\n",
                  '[csv]\ncolumns = ["a", "b", "c"]\nlabel = "k"\n')  # fmt: skip
    samples = load_samples(path, [TensorInfo(name="x", shape=(3, 1), dtype="FLOAT32", bytes=12)])
    assert samples.inputs[0].tolist() == [[[1], [2], [3]]]
    assert samples.labels is not None and samples.labels.tolist() == [0]
    assert read_rows(_table(tmp_path, "1,2,3\n", "[csv]\nshape = [3, 1]\n")).values.shape == (
        1,
        3,
        1,
    )


@pytest.mark.parametrize(
    ("text", "description", "message"),
    [
        ("", "", "is empty"),
        ("a,b,c\n", "", "a header and no rows"),
        ("1,2,3\n4,x,6\n", "", r"line 2, column 1: 'x' is no number"),
        ("a,b,c\n1,2,inf\n", "", r"line 2, column c: inf is not finite"),
        ("1,2,3\n4,5\n", "", "line 2 has 2 cells"),
        ("1,2,3,4\n", "", "4 columns for the input"),
        ("a,b,c,d\n1,2,3,4\n", '[csv]\nlabel = "k"\n', "no column 'k' for the label"),
        ("a,b,c,d\n1,2,3,4\n", '[csv]\ncolumns = ["q"]\n', "no column 'q'"),
        ("1,2,3,4\n", "[csv]\nlabel = 4\n", "no column 4"),
        ("a,b,c,y\n1,2,3,4.5\n", "", r"line 2: the label '4\.5' is no class"),
        ("1,2,3\n", "[csv]\nlable = 1\n", "csv.lable"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, text: str, description: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_samples(_table(tmp_path, text, description), [ROW])


def test_integers_that_are_not_scaled_must_be_whole(tmp_path: Path) -> None:
    counts = TensorInfo(name="x", shape=(1, 3), dtype="INT32", bytes=12)
    (values,) = load_samples(_table(tmp_path, "1,2,3\n"), [counts]).inputs
    assert values.dtype == np.int32 and values.tolist() == [[[1, 2, 3]]]
    with pytest.raises(DataError, match="holds fractions"):
        load_samples(_table(tmp_path, "1,2.5,3\n"), [counts])


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_samples(tmp_path / "none.csv", [ROW])
