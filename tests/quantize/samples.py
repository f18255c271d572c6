"""The small trained networks and the digits beside this file, for the tests of the quantizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.models.tflite_file import tensor_spec
from edgepack.quantize.columns import stored_as
from edgepack.quantize.evaluate import run_model
from edgepack.quantize.params import QParams
from edgepack.types import Array

FOLDER = Path(__file__).parent / "data"
TRAIN = 1297  # data/make_models.py
CALIBRATION, EVALUATION = slice(0, 200), slice(TRAIN, 1797)

Samples = list[tuple[Array, ...]]


def network(name: str) -> bytes:
    """A float model of data/."""
    return (FOLDER / f"{name}.tflite").read_bytes()


def digits(part: slice, shape: tuple[int, ...]) -> tuple[Samples, Array]:
    """Digits with values 0 to 1 in batches of one, and labels."""
    with np.load(FOLDER / "digits.npz") as arrays:
        x, y = arrays["x"][part], arrays["y"][part]
    return [(image.astype(np.float32).reshape(1, *shape) / 16,) for image in x], y


def forms(data: bytes) -> tuple[list[QParams | None], list[QParams | None]]:
    """How a model stores its inputs and outputs."""
    main = read_model(data).subgraphs[0]
    ins, outs = ([tensor_spec(main.tensors[i]) for i in end] for end in (main.inputs, main.outputs))
    return stored_as(ins), stored_as(outs)


def outputs(data: bytes, samples: Samples) -> Array:
    """Real outputs of a model's only output."""
    return run_model(data, samples, *forms(data))[0]


def accuracy(data: bytes, samples: Samples, labels: Array) -> float:
    """Top-1 in percent."""
    return 100 * float((outputs(data, samples).argmax(axis=1) == labels).mean())
