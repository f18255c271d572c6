"""`.tflite` files as `ModelHandle`, whole and damaged."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import EdgepackError, ModelError, UnsupportedError
from edgepack.models.handle import ModelFormat, sha256_of
from edgepack.models.load import FORMATS, SUFFIXES, load_model
from edgepack.types import DType
from tests.tflite_builder import ModelBuilder, spec

MUTATIONS = 200


@pytest.fixture
def digits(checkout: Path) -> Path:
    return checkout / "examples" / "digits" / "digits_int8.tflite"


def test_the_digits_model(digits: Path) -> None:
    handle = load_model(digits)
    assert handle.format is ModelFormat.TFLITE
    assert handle.sha256 == sha256_of(digits)
    assert handle.is_full_integer
    assert handle.dtypes == (DType.INT8, DType.INT32)
    (image,), (scores,) = handle.inputs, handle.outputs
    assert (image.shape, image.dtype, image.zero_point) == ((1, 8, 8, 1), DType.INT8, -128)
    assert (scores.shape, scores.scale, scores.zero_point) == ((1, 10), 1 / 256, -128)
    # conv, depthwise + pointwise twice, dense: the weights, and one bias per output channel
    weights = 9 * 16 + 9 * 16 + 16 * 32 + 9 * 32 + 32 * 48 + 192 * 10
    assert handle.parameters == weights + 16 + 16 + 32 + 32 + 48 + 10


def test_every_format_has_a_row() -> None:
    assert set(FORMATS) == set(ModelFormat)
    assert set(SUFFIXES.values()) == {f for f, row in FORMATS.items() if row.suffixes}


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_model(tmp_path / "none.tflite")
    other = tmp_path / "model.xyz"
    other.write_bytes(b"")
    with pytest.raises(UnsupportedError, match=r"model\.xyz"):
        load_model(other)
    text = tmp_path / "text.tflite"
    text.write_text("this is no flatbuffer")
    with pytest.raises(ModelError, match="not a TFLite model"):
        load_model(text)


def test_truncated_files_are_model_errors(digits: Path, tmp_path: Path) -> None:
    whole, path = digits.read_bytes(), tmp_path / "cut.tflite"
    sizes = [*range(64), *range(64, len(whole), 211)]
    refused = 0
    for size in sizes:
        path.write_bytes(whole[:size])
        try:
            load_model(path)
        except ModelError:
            refused += 1
    # A part that nothing refers to may stand at the very end; no more than that.
    assert refused >= len(sizes) - 1


def test_flipped_bits_never_escape_as_another_exception(digits: Path, tmp_path: Path) -> None:
    whole, path, generator = digits.read_bytes(), tmp_path / "flipped.tflite", random.Random(7)
    refused = 0
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        for _ in range(8):
            data[generator.randrange(8, len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        try:
            load_model(path)
        except EdgepackError:
            refused += 1
    assert refused > 0


def test_a_reference_to_nowhere_is_corrupt(tmp_path: Path) -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 4), "INT8", scale=0.1, zero_point=0)
    (y,) = model.op("RELU", [x], [spec((1, 4), "INT8", 0.1, 0)], {})
    model.output(y)
    good = tmp_path / "good.tflite"
    good.write_bytes(model.build())
    assert load_model(good).parameters == 0

    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    broken = schema.ModelT.InitFromPackedBuf(good.read_bytes(), 0)
    broken.subgraphs[0].operators[0].inputs = np.array([99], dtype=np.int32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(broken.Pack(builder), b"TFL3")
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(bytes(builder.Output()))
    with pytest.raises(ModelError, match="operator 0 of subgraph 0 names tensor 99"):
        load_model(bad)


def test_labels_come_from_the_metadata(digits: Path, tmp_path: Path) -> None:
    """TFLite metadata keeps associated files in a zip that is appended to the flatbuffer."""
    path = tmp_path / "labelled.tflite"
    path.write_bytes(digits.read_bytes())
    assert load_model(path).labels is None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "zero\none\n\ntwo\n")
    assert load_model(path).labels == ("zero", "one", "two")
    path.write_bytes(path.read_bytes()[:-30])
    assert load_model(path).labels is None
