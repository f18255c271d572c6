"""The table of operators agrees with the files, the issue's list, the ladder and the document."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.document import VARIANTS, operators_markdown
from edgepack.ops.shared.base import NodeView, Op
from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.ops.support import any_type
from edgepack.ops.table import OPS
from edgepack.ops.tflm import TFLM_TYPES
from edgepack.types import DType
from tests.emulator.case_choice import kernels_of, program_of
from tests.ops.collection import Collected
from tests.ops.tflm_support import covered, measured
from tests.tflite_builder import ModelBuilder, spec

# What the C runtime promises to run.
_PROMISED = """
CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED BATCH_MATMUL
ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE
ABS NEG SQRT RSQRT SQUARE EXP LOG SIN COS FLOOR CEIL ROUND
RELU RELU6 RELU_N1_TO_1 LEAKY_RELU PRELU ELU GELU HARD_SWISH LOGISTIC TANH SOFTMAX LOG_SOFTMAX
L2_NORMALIZATION AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D
MEAN SUM REDUCE_MAX REDUCE_MIN ARG_MAX ARG_MIN CUMSUM
RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE CONCATENATION SPLIT SPLIT_V PACK UNPACK SLICE STRIDED_SLICE
PAD PADV2 MIRROR_PAD BROADCAST_TO GATHER GATHER_ND EMBEDDING_LOOKUP REVERSE_V2
SPACE_TO_DEPTH DEPTH_TO_SPACE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR QUANTIZE DEQUANTIZE CAST
EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR LOGICAL_NOT SELECT_V2
SVDF UNIDIRECTIONAL_SEQUENCE_LSTM WHILE IF VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
"""
PROMISED = tuple(_PROMISED.split())
# Promised in float32 whatever else they have; the others only compute on bool or resources.
NOT_FLOAT = {
    *("DEQUANTIZE", "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"),
    *("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"),
}
# Files of edgepack/ops that are no operator.
OTHER = {
    *("__init__", "advice", "document", "evaluate", "support", "table", "tflm", "verify"),
}
OPS_DIR = Path(__file__).resolve().parents[2] / "edgepack" / "ops"


def test_every_promised_operator_is_there() -> None:
    assert [name for name in PROMISED if name not in OPS] == []


@pytest.mark.parametrize("name", [name for name in PROMISED if name not in NOT_FLOAT])
def test_promised_operators_run_in_float(name: str) -> None:
    assert DType.FLOAT32 in OPS[name].types


def test_one_file_an_operator() -> None:
    stems = {path.stem for path in OPS_DIR.glob("*.py")} - OTHER
    # if and while are words of Python
    expected = {{"IF": "if_", "WHILE": "while_"}.get(name, name.lower()) for name in OPS}
    assert stems == expected


@pytest.mark.parametrize("name", OPS)
def test_an_operator_lives_in_its_file(name: str) -> None:
    module = type(OPS[name]).__module__.rpartition(".")[2]
    assert module.rstrip("_") == name.lower()
    assert OPS[name].name == name


def test_the_table_is_sorted_and_finds_nothing_by_itself() -> None:
    source = (OPS_DIR / "table.py").read_text("utf-8")
    imported = re.findall(r"^from edgepack\.ops\.(\w+) import", source, re.MULTILINE)
    assert imported == sorted(imported)
    names = [
        node.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert names == sorted(names) and len(names) == len(OPS)
    for path in OPS_DIR.rglob("*.py"):
        code = path.read_text("utf-8")
        assert not re.search(r"\b(importlib|pkgutil|iterdir|glob)\b", code), path


def test_every_stated_type_climbs(ladder_cases: list[Collected]) -> None:
    """Every type of an operator has a case; operators without typed inputs have one at least."""
    seen = covered(ladder_cases)
    assert [name for name in OPS if name not in seen] == []
    missing = {
        name: sorted(t.value for t in set(op.types) - seen[name])
        for name, op in OPS.items()
        if not any_type(name) and set(op.types) - seen[name]
    }
    assert missing == {}


def test_stated_variants_are_the_kernels_that_run(ladder_cases: list[Collected]) -> None:
    """`variants` are the kernels that the cases for special cores reach, no more, no less."""
    found: dict[str, set[str]] = {name: set() for name in OPS}
    for collected in ladder_cases:
        isa = collected.case.isa
        if isa.features:
            for graph in program_of(collected, isa).graphs:
                for node, call in zip(graph.graph.nodes, graph.lowered, strict=True):
                    suffix = (
                        call.function.rpartition("_")[2] if isinstance(call, KernelCall) else ""
                    )
                    found[node.op] |= {suffix} & VARIANTS.keys()
    assert found == {name: set(op.variants) for name, op in OPS.items()}


def test_portable_programs_use_no_variant(ladder_cases: list[Collected]) -> None:
    suffixes = tuple(f"_{name}" for name in VARIANTS)
    for collected in ladder_cases[::10]:
        assert not [k for k in kernels_of(program_of(collected, Isa())) if k.endswith(suffixes)]


def test_the_document_is_current(checkout: Path) -> None:
    committed = (checkout / "docs" / "operators.md").read_text("utf-8")
    assert committed == operators_markdown(), "python -m edgepack.ops.document > docs/operators.md"


def test_the_skeleton_is_an_operator(checkout: Path) -> None:
    text = (checkout / "docs" / "adding_an_op.md").read_text("utf-8")
    (skeleton,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(skeleton, "docs/adding_an_op.md", "exec"), names)
    made = names["NegateExample"]
    assert isinstance(made, type) and issubclass(made, Op)
    model = ModelBuilder()
    x = model.input("x", (2, 3), "FLOAT32")
    model.output(*model.op("NEG", [x], [spec((2, 3), "FLOAT32")]))
    graph = load_tflite(model.build(), name="m").main
    view, op = NodeView.of(graph, graph.nodes[0]), made()
    op.check(view)
    assert op.infer_shape(view) == ((2, 3),)
    (got,) = op.reference(view, [np.ones((2, 3), np.float32)])
    assert (got == -1).all()
    assert isinstance(op.lower(view, Isa()), KernelCall)


def test_every_measured_op_is_one_of_ours() -> None:
    assert TFLM_TYPES.keys() <= OPS.keys()


@pytest.mark.slow
@pytest.mark.needs_oracle
def test_tflm_runs_the_types_that_are_recorded(ladder_cases: list[Collected]) -> None:
    now = {
        name: " ".join(t.value for t in DType if t in types)
        for name, types in sorted(measured(ladder_cases).items())
    }
    assert now == TFLM_TYPES, "paste the left side into edgepack/ops/tflm.py"
