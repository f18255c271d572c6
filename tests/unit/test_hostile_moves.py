"""Moving ops in models that contradict themselves: one typed error, never a traceback."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import EdgepackError
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Module, Node, Tensor
from edgepack.ir.verify import verify
from edgepack.ops.shared.kernel import Isa
from edgepack.types import DType
from tests.c_batch import Case
from tests.ops.one_op import Fixed, Run, one_op

ROUNDS = 60  # mutants of each model
_TYPES = (DType.INT8, DType.INT32, DType.INT64, DType.FLOAT32, DType.BOOL)

X = Run((2, 3, 4), "INT8")
IMAGE = Run((1, 4, 4, 4), "INT8")
CASES = [
    one_op("SQUEEZE", [Run((1, 3, 1), "INT8")], [(3, 1)], "INT8", {"squeeze_dims": [0]}),
    one_op("EXPAND_DIMS", [X, Fixed([1])], [(2, 1, 3, 4)], "INT8"),
    one_op("TRANSPOSE", [X, Fixed([2, 0, 1])], [(4, 2, 3)], "INT8"),
    one_op("SLICE", [X, Fixed([0, 1, 1]), Fixed([2, 2, -1])], [(2, 2, 3)], "INT8"),
    one_op("SLICE", [X, Run((3,), "INT32"), Run((3,), "INT32")], [(1, 2, 3)], "INT8"),
    one_op(
        "STRIDED_SLICE",
        [X, Fixed([0, 1, 0]), Fixed([2, 3, 4]), Fixed([1, 1, 2])],
        [(2, 2, 2)],
        "INT8",
    ),
    one_op("REVERSE_V2", [X, Fixed([1])], [(2, 3, 4)], "INT8"),
    one_op("BROADCAST_TO", [X, Fixed([5, 2, 3, 4])], [(5, 2, 3, 4)], "INT8"),
    one_op("TILE", [X, Fixed([1, 2, 1])], [(2, 6, 4)], "INT8"),
    one_op("SPACE_TO_DEPTH", [IMAGE], [(1, 2, 2, 16)], "INT8", {"block_size": 2}),
    one_op("DEPTH_TO_SPACE", [IMAGE], [(1, 8, 8, 1)], "INT8", {"block_size": 2}),
    one_op("CONCATENATION", [X, X], [(2, 6, 4)], "INT8", {"axis": 1}),
    one_op("PACK", [X, X], [(2, 2, 3, 4)], "INT8", {"axis": 0, "values_count": 2}),
    one_op("UNPACK", [X], [(2, 4)] * 3, "INT8", {"axis": 1, "num": 3}),
    one_op("SPLIT", [Fixed(2), X], [(2, 3, 2)] * 2, "INT8", {"num_splits": 2}),
    one_op("SPLIT_V", [X, Fixed([1, 2]), Fixed(1)], [(2, 1, 4), (2, 2, 4)], "INT8"),
    one_op("PAD", [X, Fixed([[0, 0], [1, 0], [0, 1]])], [(2, 4, 5)], "INT8"),
    one_op("PADV2", [X, Fixed([[0, 0], [1, 0], [0, 1]]), Run((1,), "INT8")], [(2, 4, 5)], "INT8"),
    one_op("MIRROR_PAD", [X, Fixed([[0, 0], [1, 0], [0, 1]])], [(2, 4, 5)], "INT8"),
    one_op("GATHER", [X, Fixed([0, 2])], [(2, 2, 4)], "INT8", {"axis": 1}),
    one_op("GATHER", [X, Run((2, 2), "INT32")], [(2, 2, 4)], "INT8", {"axis": 1, "batch_dims": 1}),
    one_op("GATHER_ND", [X, Run((5, 2), "INT32")], [(5, 4)], "INT8"),
    one_op("EMBEDDING_LOOKUP", [Run((2,), "INT32"), X], [(2, 3, 4)], "INT8"),
    one_op(
        "SPACE_TO_BATCH_ND", [IMAGE, Fixed([2, 2]), Fixed([[0, 0]] * 2)], [(4, 2, 2, 4)], "INT8"
    ),
    one_op(
        "BATCH_TO_SPACE_ND",
        [Run((4, 2, 2, 1), "INT8"), Fixed([2, 2]), Fixed([[0, 0]] * 2)],
        [(1, 4, 4, 1)],
        "INT8",
    ),
    one_op("RESIZE_BILINEAR", [IMAGE, Fixed([8, 2])], [(1, 8, 2, 4)], "INT8"),
    one_op("RESIZE_NEAREST_NEIGHBOR", [IMAGE, Fixed([8, 2])], [(1, 8, 2, 4)], "INT8"),
    one_op("SHAPE", [X], [(3,)], "INT32", {"out_type": "INT32"}),
    one_op("FILL", [Fixed([2, 3]), Run((), "INT8")], [(2, 3)], "INT8"),
    one_op("ZEROS_LIKE", [X], [(2, 3, 4)], "INT8"),
    one_op(
        "DYNAMIC_UPDATE_SLICE", [X, Run((1, 2, 4), "INT8"), Run((3,), "INT32")], [(2, 3, 4)], "INT8"
    ),
]


def _mutate_tensor(rng: np.random.Generator, tensor: Tensor) -> Tensor:
    kind = rng.integers(0, 3)
    if kind == 0:
        dtype = _TYPES[rng.integers(0, len(_TYPES))]
        data = None if tensor.data is None else tensor.data.astype(dtype.numpy)
        return replace(tensor, dtype=dtype, data=data)
    if kind == 1 and tensor.data is not None:
        values = rng.integers(-3, 9, tensor.shape).astype(tensor.dtype.numpy)
        return replace(tensor, data=values)
    shape = tuple(int(n) for n in rng.integers(0, 5, rng.integers(0, 6)))
    data = None
    if tensor.data is not None:
        data = rng.integers(-3, 9, shape).astype(tensor.dtype.numpy)
    return replace(tensor, shape=shape, data=data)


def _mutate_node(rng: np.random.Generator, node: Node) -> Node:
    names = [f.name for f in fields(node.attrs) if isinstance(getattr(node.attrs, f.name), int)]
    if not names:
        return replace(node, inputs=node.inputs[: int(rng.integers(0, len(node.inputs) + 1))])
    name = names[rng.integers(0, len(names))]
    was_bool = isinstance(getattr(node.attrs, name), bool)
    value = bool(rng.integers(0, 2)) if was_bool else int(rng.integers(-4, 9))
    return replace(node, attrs=replace(node.attrs, **{name: value}))


def _mutant(rng: np.random.Generator, module: Module) -> Module:
    graph = module.main
    tensors, (node,) = dict(graph.tensors), graph.nodes
    for _ in range(rng.integers(1, 3)):
        chosen = int(rng.choice(list(tensors)))
        tensors[chosen] = _mutate_tensor(rng, tensors[chosen])
    if rng.integers(0, 3) == 0:
        node = _mutate_node(rng, node)
    return module.with_main(graph.evolve(nodes=[node], tensors=tensors))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.id))
def test_contradictions_give_a_typed_error(case: Case, tmp_path: Path) -> None:
    module = load_tflite(case.model)
    build_program(module, Isa())
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(ROUNDS):
        mutant = _mutant(rng, module)
        try:
            verify(mutant)
            build_program(mutant, Isa())
        except EdgepackError:
            refused += 1
    assert refused > ROUNDS // 3
