"""TFLite Metadata in a model: read back, and the model still computes the same."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgepack.convert.flatbuffer import read_model
from edgepack.emit.metadata import (
    BUFFER_NAME,
    LABEL_FILE,
    ImageContent,
    ModelDescription,
    TensorDescription,
    add_metadata,
)
from edgepack.errors import DataError
from edgepack.models.tflite_file import labels_of
from edgepack.types import Array
from tests.phone_assets.models import HOSTILE, HOSTILE_LABELS, picture_classifier

LABELS = "".join(f"{label}\n" for label in HOSTILE_LABELS[1:]).encode()
READER = "tflite-support==0.4.4"  # Google's own, whose last release this is


def described(name: str = "Colours") -> ModelDescription:
    image = TensorDescription(
        "image",
        "what the camera sees",
        ImageContent(5, 6, 3),
        (127.5, 120.0, 110.0),
        (127.5, 128.0, 64.0),
        (-1.0,),
        (1.0,),
    )
    return ModelDescription(
        name=name,
        description="Says how much of each colour there is",
        version="1.2.3",
        author="Ada",
        license="Apache-2.0",
        inputs=(image,),
        outputs=(TensorDescription("share", labels=True),),
        files={LABEL_FILE: LABELS, "notes.txt": b"more"},
    )


def run(model: bytes, values: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    result: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def test_the_model_computes_what_it_did() -> None:
    model = picture_classifier()
    values = np.random.default_rng(1).integers(-128, 128, (1, 6, 5, 3)).astype(np.int8)
    before, after = run(model, values), run(add_metadata(model, described()), values)
    assert np.array_equal(before, after) and before.any()


def test_metadata_is_a_buffer_of_the_model_and_files_a_zip_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(add_metadata(picture_classifier(), described()))
    model = read_model(path.read_bytes())
    (entry,) = [e for e in model.metadata if e.name == BUFFER_NAME]
    assert bytes(model.buffers[entry.buffer].data)[4:8] == b"M001"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [LABEL_FILE, "notes.txt"]
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read(LABEL_FILE) == LABELS
    assert labels_of(path) == HOSTILE_LABELS[1:]


def test_the_same_input_gives_the_same_bytes_and_old_metadata_is_replaced() -> None:
    model = picture_classifier()
    once = add_metadata(model, described())
    assert once == add_metadata(model, described())
    assert once == add_metadata(once, described())
    other = add_metadata(once, described("Shapes"))
    assert other != once and add_metadata(other, described()) == once


def test_a_description_of_another_model_is_refused() -> None:
    model = described()
    with pytest.raises(DataError, match="1 outputs, 0 are described"):
        add_metadata(
            picture_classifier(),
            ModelDescription(
                model.name, "", "", "", "", model.inputs, outputs=(), files=model.files
            ),
        )


@pytest.mark.slow
@pytest.mark.needs_network
def test_the_standard_reader_reads_it_back(tmp_path: Path) -> None:
    """With tflite-support's MetadataDisplayer, Google's reader of the schema it defined."""
    folder = tmp_path / "reader"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*install, READER], capture_output=True, text=True, timeout=280)
    if done.returncode:
        pytest.skip(f"{READER} cannot be installed here: {done.stderr.strip()[-200:]}")
    path = tmp_path / "model.tflite"
    path.write_bytes(add_metadata(picture_classifier(), described(HOSTILE)))
    program = (
        "import sys, json; sys.path.append(sys.argv[1])\n"
        "from tensorflow_lite_support.metadata.python.metadata import MetadataDisplayer\n"
        "from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version as v\n"
        "d = MetadataDisplayer.with_model_file(sys.argv[2])\n"
        "print(json.dumps([d.get_metadata_json(), d.get_packed_associated_file_list(),"
        " d.get_associated_file_buffer('labels.txt').decode(),"
        " v.GetMinimumMetadataParserVersion(bytes(d.get_metadata_buffer()))]))"
    )
    read = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert read.returncode == 0, read.stderr
    text, files, labels, version = json.loads(read.stdout)
    document = json.loads(text)
    assert document["name"] == HOSTILE
    assert (document["author"], document["license"]) == ("Ada", "Apache-2.0")
    assert document["min_parser_version"] == version  # the least that its own checker asks for
    (graph,) = document["subgraph_metadata"]
    (image,), (share,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert image["content"]["content_properties"] == {
        "color_space": "RGB",
        "default_size": {"width": 5, "height": 6},
    }
    (unit,) = image["process_units"]
    assert unit["options_type"] == "NormalizationOptions"
    assert unit["options"] == {"mean": [127.5, 120.0, 110.0], "std": [127.5, 128.0, 64.0]}
    assert image["stats"] == {"max": [1.0], "min": [-1.0]}
    assert share["associated_files"] == [{"name": LABEL_FILE, "type": "TENSOR_AXIS_LABELS"}]
    assert document["associated_files"] == [{"name": "notes.txt"}]
    assert sorted(files) == [LABEL_FILE, "notes.txt"]
    assert labels.encode() == LABELS
