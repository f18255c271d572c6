"""Constant folding and the removal of dead nodes."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Module
from edgepack.ir.verify import verify
from edgepack.ops.evaluate import evaluate
from edgepack.ops.shared.kernel import Isa
from edgepack.passes.flows import DEFAULT_FLOW, run_flow
from edgepack.passes.fold_constants import MAX_GROWTH_BYTES, fold_constants
from edgepack.passes.remove_dead import remove_dead
from tests.tflite_builder import ModelBuilder, spec


def _module(model: ModelBuilder) -> Module:
    return load_tflite(model.build())


def _ops(module: Module) -> list[str]:
    return [node.op for node in module.main.nodes]


def _flatten_of_a_dynamic_batch() -> ModelBuilder:
    """What converters leave of Flatten when the batch is not fixed."""
    model = ModelBuilder()
    x = model.input("x", (2, 3, 4), "FLOAT32")
    (shape,) = model.op("SHAPE", [x], [spec((3,), "INT32")], {"out_type": "INT32"})
    cut = [model.const([v], "INT32") for v in (0, 1, 1)]
    masks = {"shrink_axis_mask": 1}
    (batch,) = model.op("STRIDED_SLICE", [shape, *cut], [spec((), "INT32")], masks)
    twelve = model.const(12, "INT32")
    options = {"values_count": 2, "axis": 0}
    (wanted,) = model.op("PACK", [batch, twelve], [spec((2,), "INT32")], options)
    model.output(*model.op("RESHAPE", [x, wanted], [spec((2, 12), "FLOAT32")]))
    return model


def test_shape_arithmetic_disappears() -> None:
    before = _module(_flatten_of_a_dynamic_batch())
    after = run_flow(before)
    assert _ops(before) == ["SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE"]
    assert _ops(after) == ["RESHAPE"]
    verify(after)
    sample = [np.arange(24, dtype=np.float32).reshape(2, 3, 4)]
    for module in (before, after):
        result = evaluate(module, sample)[module.main.outputs[0]]
        np.testing.assert_array_equal(result, sample[0].reshape(2, 12))


def test_an_op_that_demands_a_constant_gets_it() -> None:
    model = ModelBuilder()
    x, y = model.input("x", (1, 3)), model.input("y", (4, 3))
    (shape,) = model.op("SHAPE", [y], [spec((2,), "INT32")], {"out_type": "INT32"})
    model.output(*model.op("BROADCAST_TO", [x, shape], [spec((4, 3))]))
    module = _module(model)
    assert _ops(run_flow(module)) == ["BROADCAST_TO"]
    with pytest.raises(UnsupportedError, match="computed at run time"):
        run_flow(module, ())


def test_the_default_flow_folds_first() -> None:
    assert DEFAULT_FLOW[:2] == (fold_constants, remove_dead)


def test_float16_weights_become_the_float32_that_they_stand_for() -> None:
    half = np.array([[1.5, -0.1], [65504.0, 6e-8]], np.float16)
    model = ModelBuilder()
    x, weights = model.input("x", (1, 2), "FLOAT32"), model.const(half, "FLOAT16")
    (wide,) = model.op("DEQUANTIZE", [weights], [spec((2, 2), "FLOAT32")], {})
    options = {"fused_activation_function": "NONE", "keep_num_dims": False}
    model.output(*model.op("FULLY_CONNECTED", [x, wide], [spec((1, 2), "FLOAT32")], options))
    module = run_flow(_module(model))
    assert _ops(module) == ["FULLY_CONNECTED"]
    folded = module.main.tensors[module.main.nodes[0].inputs[1]].data
    assert folded is not None and folded.dtype == np.float32
    np.testing.assert_array_equal(folded, half.astype(np.float32))


def test_an_output_of_the_model_is_not_folded() -> None:
    model = ModelBuilder()
    x = model.input("x", (2, 3))
    model.output(*model.op("SHAPE", [x], [spec((2,), "INT32")], {"out_type": "INT32"}))
    module = _module(model)
    assert fold_constants(module) == module
    assert build_program(module, Isa()).main.graph.nodes


def _weights_through(op: str, extent: int, *, read_twice: bool) -> ModelBuilder:
    """x + op(weights), where the weights may have another reader."""
    model = ModelBuilder()
    x = model.input("x", (extent, 4), "FLOAT32")
    weights = model.const(np.ones((4, extent)), "FLOAT32")
    argument = {"TRANSPOSE": [1, 0], "RESHAPE": [extent, 4]}[op]
    shape = [spec((extent, 4), "FLOAT32")]
    (moved,) = model.op(op, [weights, model.const(argument, "INT32")], shape)
    model.output(*model.op("ADD", [x, moved], shape))
    if read_twice:
        y = model.input("y", (4, extent), "FLOAT32")
        model.output(*model.op("ADD", [y, weights], [spec((4, extent), "FLOAT32")]))
    return model


@pytest.mark.parametrize(
    ("op", "extent", "read_twice", "folded"),
    [
        ("TRANSPOSE", 100, False, True),
        ("TRANSPOSE", 100, True, False),  # a second copy would cost 1600 bytes of flash
        ("TRANSPOSE", 4, True, True),
        ("RESHAPE", 100, True, True),  # the same bytes
    ],
)
def test_folding_does_not_grow_the_model(
    op: str, extent: int, read_twice: bool, folded: bool
) -> None:
    module = fold_constants(_module(_weights_through(op, extent, read_twice=read_twice)))
    assert (op not in _ops(module)) == folded


def test_a_reshaped_constant_is_emitted_once() -> None:
    from edgepack.emit.c_runtime import Origin, emit_c_runtime

    module = _module(_weights_through("RESHAPE", 100, read_twice=True))
    text = emit_c_runtime(build_program(module, Isa()), "m", Origin("m", "0" * 64, "test"))
    assert text.source.count("static const float ep_m_w") == 1


def test_large_fills_stay_code() -> None:
    def module(elements: int) -> Module:
        model = ModelBuilder()
        x = model.input("x", (elements,), "FLOAT32")
        inputs = [model.const([elements], "INT32"), model.const(1.5, "FLOAT32")]
        (ones,) = model.op("FILL", inputs, [spec((elements,), "FLOAT32")])
        model.output(*model.op("ADD", [x, ones], [spec((elements,), "FLOAT32")]))
        return _module(model)

    limit = MAX_GROWTH_BYTES // 4 + 2  # the two constants of FILL disappear
    assert _ops(fold_constants(module(limit))) == ["ADD"]
    assert _ops(fold_constants(module(limit + 1))) == ["FILL", "ADD"]


def test_what_cannot_be_evaluated_is_left_for_the_verifier() -> None:
    model = ModelBuilder()
    x = model.input("x", (2,), "FLOAT32")
    inputs = [model.const([1.0, 2.0], "FLOAT32"), model.const([5], "INT32")]
    (picked,) = model.op("GATHER", inputs, [spec((1,), "FLOAT32")], {"axis": 0})
    model.output(*model.op("ADD", [x, picked], [spec((2,), "FLOAT32")]))
    module = _module(model)
    assert _ops(fold_constants(module)) == ["GATHER", "ADD"]
    with pytest.raises(UnsupportedError, match="index 5"):
        run_flow(module)


def test_dead_nodes_are_removed() -> None:
    model = ModelBuilder()
    x = model.input("x", (4,), "FLOAT32")
    (used,) = model.op("NEG", [x], [spec((4,), "FLOAT32")])
    (unused,) = model.op("EXP", [used], [spec((4,), "FLOAT32")])
    model.op("NEG", [unused], [spec((4,), "FLOAT32")])
    model.output(used)
    assert _ops(remove_dead(_module(model))) == ["NEG"]


def test_one_read_output_keeps_a_node() -> None:
    model = ModelBuilder()
    x = model.input("x", (4,), "FLOAT32")
    halves = [spec((2,), "FLOAT32")] * 2
    _, second = model.op("SPLIT", [model.const(0, "INT32"), x], halves, {"num_splits": 2})
    model.output(second)
    assert _ops(remove_dead(_module(model))) == ["SPLIT"]


def test_nodes_that_write_state_stay() -> None:
    model = ModelBuilder()
    x = model.input("x", (4,), "FLOAT32")
    handle = model.resource("state")
    model.op("ASSIGN_VARIABLE", [handle, x], [])
    model.output(*model.op("NEG", [x], [spec((4,), "FLOAT32")]))
    assert _ops(remove_dead(_module(model))) == ["VAR_HANDLE", "ASSIGN_VARIABLE", "NEG"]
