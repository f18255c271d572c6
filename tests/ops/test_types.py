"""Ops that move elements, once in each type that they state: the case is small, the type is new.

What happens at odd shapes and at the ends of a range is tested op by op; here it is that the kernel
for every type exists and moves whole elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.ops.table import OPS
from edgepack.ops.tflm import tflm_types
from edgepack.types import DType
from tests.c_batch import Case
from tests.ops.ladder import Oracle, climb
from tests.ops.one_op import NUMPY, Fixed, Given, Run, one_op
from tests.tflite_builder import ModelBuilder, spec


@dataclass(frozen=True)
class Small:
    """Inputs for a type name, the shapes of the outputs, and the options."""

    inputs: Callable[[str], Sequence[Given]]
    outputs: Sequence[Sequence[int]]
    options: Mapping[str, Any] = field(default_factory=dict)


def _with(shape: tuple[int, ...], *constants: Any) -> Callable[[str], Sequence[Given]]:
    """One run-time input of the type, then int32 constants."""
    return lambda t: [Run(shape, t), *(Fixed(np.array(c, np.int32)) for c in constants)]


SMALL = {
    "BATCH_TO_SPACE_ND": Small(_with((4, 2, 3, 2), [2, 2], [[0, 0], [1, 0]]), [(1, 4, 5, 2)]),
    "BROADCAST_TO": Small(_with((3, 1, 2), [2, 3, 4, 2]), [(2, 3, 4, 2)]),
    "CONCATENATION": Small(lambda t: [Run((2, 3), t), Run((2, 2), t)], [(2, 5)], {"axis": 1}),
    "DYNAMIC_UPDATE_SLICE": Small(
        lambda t: [Run((4, 5), t), Run((2, 3), t), Fixed(np.array([1, 2], np.int32))], [(4, 5)]
    ),
    "EXPAND_DIMS": Small(_with((3, 5), 1), [(3, 1, 5)]),
    "FILL": Small(lambda t: [Fixed(np.array([2, 3], np.int32)), Run((), t)], [(2, 3)]),
    "GATHER": Small(_with((4, 3), [2, 0, 3]), [(3, 3)], {"axis": 0, "batch_dims": 0}),
    "GATHER_ND": Small(_with((4, 3), [[2, 1], [0, 2]]), [(2,)]),
    "MIRROR_PAD": Small(_with((3, 4), [[1, 2], [0, 3]]), [(6, 7)], {"mode": "REFLECT"}),
    "PACK": Small(
        lambda t: [Run((2, 3), t), Run((2, 3), t)], [(2, 2, 3)], {"axis": 1, "values_count": 2}
    ),
    "PAD": Small(_with((2, 3), [[1, 0], [0, 2]]), [(3, 5)]),
    "PADV2": Small(
        lambda t: [
            Run((2, 3), t),
            Fixed(np.array([[1, 0], [0, 2]], np.int32)),
            Fixed(np.array(1), t, quantized=True),
        ],
        [(3, 5)],
    ),
    "RESHAPE": Small(_with((2, 6), [3, 4]), [(3, 4)], {"new_shape": [3, 4]}),
    "RESIZE_NEAREST_NEIGHBOR": Small(_with((1, 2, 3, 2), [4, 5]), [(1, 4, 5, 2)]),
    "REVERSE_V2": Small(_with((2, 3, 4), [1]), [(2, 3, 4)]),
    "SELECT": Small(lambda t: [Run((2, 3), "BOOL"), Run((2, 3), t), Run((2, 3), t)], [(2, 3)]),
    "SELECT_V2": Small(lambda t: [Run((2, 3), "BOOL"), Run((2, 3), t), Run((3,), t)], [(2, 3)]),
    "SLICE": Small(_with((4, 5), [1, 2], [2, 3]), [(2, 3)]),
    "SPACE_TO_BATCH_ND": Small(_with((1, 4, 4, 2), [2, 2], [[0, 0], [0, 0]]), [(4, 2, 2, 2)]),
    "SPACE_TO_DEPTH": Small(_with((1, 4, 6, 2)), [(1, 2, 3, 8)], {"block_size": 2}),
    "DEPTH_TO_SPACE": Small(_with((1, 2, 3, 8)), [(1, 4, 6, 2)], {"block_size": 2}),
    "SPLIT": Small(
        lambda t: [Fixed(np.array(1, np.int32)), Run((3, 4), t)],
        [(3, 2), (3, 2)],
        {"num_splits": 2},
    ),
    "SPLIT_V": Small(_with((3, 5), [2, 3], 1), [(3, 2), (3, 3)], {"num_splits": 2}),
    "SQUEEZE": Small(_with((3, 1, 5)), [(3, 5)], {"squeeze_dims": [1]}),
    "STRIDED_SLICE": Small(_with((5, 6), [0, 1], [5, 6], [2, 2]), [(3, 3)]),
    "TILE": Small(_with((2, 3), [2, 2]), [(4, 6)]),
    "TRANSPOSE": Small(_with((2, 3, 4), [2, 0, 1]), [(4, 2, 3)]),
    "UNPACK": Small(_with((3, 2)), [(3,), (3,)], {"axis": 1, "num": 2}),
    "ZEROS_LIKE": Small(_with((2, 3)), [(2, 3)]),
}


# Neither TFLM nor LiteRT has a kernel for these.
NEITHER = {
    *(("DEPTH_TO_SPACE", t) for t in (DType.INT16, DType.BOOL)),
    ("PACK", DType.BOOL),
    ("RESIZE_NEAREST_NEIGHBOR", DType.INT64),
    *(("SPACE_TO_DEPTH", t) for t in (DType.INT16, DType.BOOL)),
    ("SPLIT", DType.BOOL),
    ("SPLIT_V", DType.BOOL),
    ("UNPACK", DType.INT64),
    *(("ZEROS_LIKE", t) for t in (DType.INT16, DType.UINT8, DType.BOOL)),
}


def _oracle(op: str, dtype: DType) -> Oracle:
    if (op, dtype) in NEITHER:
        return "none"
    return "tflm" if dtype in tflm_types(op) else "litert"


@pytest.mark.needs_oracle
@pytest.mark.parametrize("oracle", ["tflm", "litert", "none"])
def test_every_type(oracle: Oracle, tmp_path: Path) -> None:
    cases = [
        one_op(op, small.inputs(t.value), small.outputs, t.value, small.options, seed=3)
        for op, small in SMALL.items()
        for t in OPS[op].types
        if t.value in NUMPY and _oracle(op, t) == oracle
    ]
    climb(cases, tmp_path, oracle=oracle)


@pytest.mark.needs_oracle
def test_reshape_of_rare_types(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    cases = []
    for dtype in (t for t in OPS["RESHAPE"].types if t.value not in NUMPY):
        model = ModelBuilder()
        x = model.input("x", (2, 6), dtype.value)
        shape = model.const(np.array([3, 4], np.int32), "INT32")
        model.output(*model.op("RESHAPE", [x, shape], [spec((3, 4), dtype.value)]))
        values = rng.integers(0, 1000, (2, 6)).astype(dtype.numpy)
        cases.append(Case(f"RESHAPE {dtype.value}", model.build(), [[values]]))
    climb(cases, tmp_path, oracle="litert")


@pytest.mark.needs_oracle
def test_shape_of_every_type(tmp_path: Path) -> None:
    """SHAPE does not look at the elements, so a type is a type."""
    cases = []
    for dtype in OPS["SHAPE"].types:
        model = ModelBuilder()
        x = model.input("x", (2, 6), dtype.value)
        model.output(*model.op("SHAPE", [x], [spec((2,), "INT32")], {"out_type": "INT32"}))
        cases.append(Case(f"SHAPE {dtype.value}", model.build(), [[np.zeros((2, 6), dtype.numpy)]]))
    climb(cases, tmp_path, oracle="none")
