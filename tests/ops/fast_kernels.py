"""What the tests of the fast kernels share: shapes, variations, and how a core's cases climb.

Every table is for every kind of core. A test climbs the quick part in `make test`, the rest
among the slow tests; the quick part has each kind of remainder, padding and layout once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.ops.shared.kernel import Isa, KernelCall, Params
from edgepack.ops.shared.window import window
from edgepack.types import Array
from tests.c_batch import Case, compile_case
from tests.ops.ladder import climb
from tests.ops.weighted_model import Weighted
from tests.tflite_builder import ModelBuilder, spec

REST = pytest.mark.parametrize(
    "rest", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["quick", "rest"]
)

# input, filters, kernel, stride, dilation, padding
CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "1x1": ((1, 5, 5, 8), 6, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 odd channels": ((1, 5, 7, 7), 5, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 expanding, remainder 2": ((1, 2, 3, 4), 9, (1, 1), (1, 1), (1, 1), "SAME"),
    "1x1 one position": ((1, 1, 1, 40), 3, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 remainder 3": ((1, 3, 5, 16), 4, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 strided": ((1, 7, 7, 4), 4, (1, 1), (2, 2), (1, 1), "SAME"),
    "3x3 same": ((1, 6, 5, 4), 4, (3, 3), (1, 1), (1, 1), "SAME"),
    "3x3 rgb stride 2": ((1, 9, 9, 3), 8, (3, 3), (2, 2), (1, 1), "SAME"),
    "3x3 two channels": ((1, 6, 6, 2), 3, (3, 3), (1, 1), (1, 1), "SAME"),
    "5x5": ((1, 8, 8, 4), 3, (5, 5), (1, 1), (1, 1), "VALID"),
    "10x4 one channel": ((1, 14, 9, 1), 4, (10, 4), (2, 2), (1, 1), "SAME"),
    "dilated": ((1, 9, 9, 4), 2, (3, 3), (1, 1), (2, 3), "SAME"),
    "dilated odd channels": ((1, 9, 9, 3), 2, (3, 2), (1, 1), (2, 2), "SAME"),
    "batches": ((3, 4, 4, 4), 4, (3, 3), (1, 1), (1, 1), "SAME"),
    "one column": ((1, 12, 1, 4), 5, (4, 1), (2, 1), (1, 1), "SAME"),
    "kernel beyond input": ((1, 2, 2, 4), 2, (5, 5), (1, 1), (1, 1), "SAME"),
    "1x1 many inputs": ((1, 2, 3, 700), 3, (1, 1), (1, 1), (1, 1), "VALID"),
}
QUICK_CONVOLUTIONS = (
    "1x1 odd channels",
    "1x1 expanding, remainder 2",
    "1x1 remainder 3",
    "1x1 strided",
    "3x3 two channels",
    "10x4 one channel",
    "dilated odd channels",
    "batches",
    "kernel beyond input",
    "1x1 many inputs",
)

# input, kernel, stride, dilation, padding, depth multiplier
DEPTHWISE: dict[str, tuple[Any, ...]] = {
    "3x3": ((1, 6, 5, 3), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "3x3 even width": ((1, 4, 6, 5), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "3x3 whole groups": ((1, 6, 10, 5), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "3x3 valid": ((1, 7, 8, 2), (3, 3), (1, 1), (1, 1), "VALID", 1),
    "3x3 wide row": ((1, 4, 23, 2), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "3x3 stride 2": ((1, 8, 8, 4), (3, 3), (2, 2), (1, 1), "SAME", 1),
    "3x3 stride 2 wide": ((1, 9, 20, 4), (3, 3), (2, 2), (1, 1), "SAME", 1),
    "3x3 stride 2 odd": ((1, 7, 9, 3), (3, 3), (2, 2), (1, 1), "VALID", 1),
    "3x3 stride 3": ((1, 11, 13, 2), (3, 3), (3, 3), (1, 1), "SAME", 1),
    "stride 1x2": ((1, 5, 8, 2), (3, 3), (1, 2), (1, 1), "SAME", 1),
    "stride beyond kernel": ((1, 9, 12, 2), (2, 2), (4, 3), (1, 1), "VALID", 1),
    "5x5": ((1, 6, 7, 2), (5, 5), (1, 1), (1, 1), "SAME", 1),
    "5x5 stride 2": ((1, 9, 17, 2), (5, 5), (2, 2), (1, 1), "SAME", 1),
    "7x7": ((1, 9, 8, 2), (7, 7), (1, 1), (1, 1), "SAME", 1),
    "15x4": ((1, 16, 5, 1), (15, 4), (1, 1), (1, 1), "SAME", 1),
    "4x2": ((1, 6, 6, 2), (4, 2), (1, 1), (1, 1), "SAME", 1),
    "1x1": ((1, 3, 4, 5), (1, 1), (1, 1), (1, 1), "SAME", 1),
    "upright 10": ((1, 24, 1, 4), (10, 1), (1, 1), (1, 1), "VALID", 1),
    "upright whole": ((1, 15, 1, 4), (15, 1), (1, 1), (1, 1), "VALID", 1),
    "one column": ((1, 9, 5, 3), (3, 5), (1, 1), (1, 1), "VALID", 1),
    "one position": ((1, 3, 3, 4), (3, 3), (1, 1), (1, 1), "VALID", 1),
    "kernel beyond input": ((1, 2, 2, 3), (5, 5), (1, 1), (1, 1), "SAME", 1),
    "narrow and padded": ((1, 5, 1, 3), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "two wide, padded": ((1, 5, 2, 3), (3, 7), (1, 1), (1, 1), "SAME", 1),
    "20 rows": ((1, 20, 3, 2), (20, 2), (1, 1), (1, 1), "VALID", 1),
    "batches": ((2, 4, 4, 3), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "dilated": ((1, 9, 8, 3), (3, 3), (1, 1), (2, 3), "SAME", 1),
    "dilated, phases alike": ((1, 8, 9, 2), (3, 3), (1, 1), (2, 3), "SAME", 1),
    "dilated valid": ((1, 12, 14, 2), (3, 2), (1, 1), (3, 2), "VALID", 1),
    "dilated beyond output": ((1, 5, 4, 2), (2, 2), (1, 1), (4, 3), "VALID", 1),
    "dilated across a stride": ((1, 9, 8, 2), (3, 3), (2, 1), (1, 2), "SAME", 1),
    "dilated upright": ((1, 20, 1, 3), (5, 1), (1, 1), (3, 1), "SAME", 1),
    "dilated batches": ((2, 5, 5, 2), (3, 3), (1, 1), (2, 2), "SAME", 1),
    "multiplier 2": ((1, 5, 4, 3), (3, 3), (1, 1), (1, 1), "SAME", 2),
    "multiplier 8 of one": ((1, 9, 7, 1), (5, 4), (2, 2), (1, 1), "SAME", 8),
    "multiplier 3, batches": ((2, 4, 5, 2), (2, 3), (1, 1), (1, 1), "SAME", 3),
    "multiplier 2, dilated": ((1, 7, 6, 2), (3, 3), (1, 1), (2, 2), "SAME", 2),
}
QUICK_DEPTHWISE = (
    "3x3",
    "3x3 wide row",
    "3x3 stride 2",
    "3x3 stride 3",
    "stride 1x2",
    "5x5 stride 2",
    "4x2",
    "upright 10",
    "kernel beyond input",
    "two wide, padded",
    "dilated",
    "dilated valid",
    "multiplier 3, batches",
    "multiplier 2, dilated",
)

# activation, changes to the layer
Variations = list[tuple[str, dict[str, Any]]]
VARIATIONS: Variations = [
    ("RELU", {"zero_points": (-128, -128)}),
    ("RELU6", {"zero_points": (127, -128)}),
    ("NONE", {"zero_points": (0, 127)}),
    ("NONE", {"per_channel": False}),
    ("NONE", {"bias": None}),
    ("NONE", {"real_multiplier": 0.45}),
    ("NONE", {"real_multiplier": 1e-5}),
    ("NONE", {"bias_reach": 1 << 20}),
]

# Factors of one and more, shifts of zero, accumulators that wrap: the long way of requantizing.
UNUSUAL: Variations = [
    ("NONE", {"real_multiplier": 0.9}),
    ("RELU", {"real_multiplier": 1.5, "zero_points": (-128, -128)}),
    ("NONE", {"real_multiplier": 40.0, "per_channel": False}),
    ("NONE", {"real_multiplier": 1e-8}),
    ("NONE", {"bias_reach": (1 << 31) - 1}),
]

# 4-bit weights: products are 16 times smaller
INT4: dict[str, Any] = {"weight_type": "INT4", "real_multiplier": 0.03}

DENSE_SHAPES = ("row", "batch", "one to one", "flattens", "kept dimensions", "kept rank 4")


class Unpaired(Weighted):
    """Weights that cannot share a word: -1 beside -128."""

    def _weights(self, rng: np.random.Generator) -> Array:
        values = rng.integers(-128, 128, self.w).astype(np.int8)
        values[0].flat[0], values[1].flat[0] = -1, -128
        return values


def of_kind(kind: type[Weighted], plain: Weighted) -> Weighted:
    """The same layer with another kind's weights."""
    return kind(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})


def conv(
    name: str,
    activation: str = "NONE",
    table: dict[str, tuple[Any, ...]] = CONVOLUTIONS,
    **changes: Any,
) -> Weighted:
    """A layer of a table of convolutions."""
    x, filters, kernel, stride, dilation, padding = table[name]
    options = _options(stride, dilation, padding, activation)
    out = _out(x, kernel, stride, dilation, padding, filters)
    label, w = f"{name} {activation} {changes}", (filters, *kernel, x[3])
    return Weighted("CONV_2D", x, w, out, filters, 0, options, narrow=True, label=label, **changes)


def depthwise(name: str, activation: str = "NONE", **changes: Any) -> Weighted:
    """A layer of DEPTHWISE."""
    x, kernel, stride, dilation, padding, multiplier = DEPTHWISE[name]
    n = x[3] * multiplier
    options = _options(stride, dilation, padding, activation) | {"depth_multiplier": multiplier}
    out = _out(x, kernel, stride, dilation, padding, n)
    label, w = f"{name} {activation} {changes}", (1, *kernel, n)
    return Weighted(
        "DEPTHWISE_CONV_2D", x, w, out, n, 3, options, narrow=True, label=label, **changes
    )


def _options(stride: Any, dilation: Any, padding: str, activation: str) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": activation,
    }


def _out(
    x: Any, kernel: Any, stride: Any, dilation: Any, padding: str, channels: int
) -> tuple[int, ...]:
    extents = (window(x[1 + i], kernel[i], stride[i], dilation[i], padding).out for i in (0, 1))
    return (x[0], *extents, channels)


def part(names: Iterable[str], quick: Collection[str], *, rest: bool) -> list[str]:
    """The quick names of a table, or all others."""
    return [name for name in names if (name in quick) != rest]


def half(variations: Variations, *, rest: bool) -> Variations:
    """Every other variation."""
    return variations[int(rest) :: 2]


def some(variations: Variations, *, rest: bool) -> Variations:
    """Every fourth variation, or all others."""
    return [v for i, v in enumerate(variations) if (i % 4 != 0) == rest]


def on(isa: Isa, weighted: Weighted, rng: np.random.Generator) -> Case:
    """A layer's case for a core."""
    return replace(weighted.case(rng), isa=isa)


def calls(case: Case) -> list[KernelCall]:
    """What a case's model is lowered to."""
    program, _ = compile_case(case, "probe")
    return [c for c in program.main.lowered if isinstance(c, KernelCall)]


def kernels(case: Case) -> list[str]:
    """The functions that a case's model calls."""
    return [call.function for call in calls(case)]


def fields(case: Case) -> dict[str, Any]:
    """The parameters of a one-op case's kernel."""
    (call,) = calls(case)
    return dict(next(a for a in call.args if isinstance(a, Params)).fields)


def check(cases: Sequence[Case], function: str, work: Path) -> None:
    """The cases climb, each with this kernel."""
    for case in cases:
        assert kernels(case) == [function], case.id
    climb(cases, work)


# filters, kernel and stride of each layer
SAME_SIZE = ((12, 1, 1), (12, 3, 1), (4, 1, 1))
SHRINKING = ((12, 1, 1), (12, 3, 1), (6, 1, 1), (6, 3, 2), (8, 3, 1))


def check_chain(
    isa: Isa, layers: Sequence[tuple[int, int, int]], side: int, room: int, work: Path
) -> None:
    """Expanding, depthwise and contracting layers over one piece of memory, against TFLM.

    A layer with a kernel above 1x1 and as many filters as channels is a depthwise one. The arena
    must not exceed the largest tensor and scratch memory by more than `room` bytes.
    """
    rng = np.random.default_rng(5)
    model, shape = ModelBuilder(), (1, side, side, 4)
    tensor, channels = model.input("x", shape, "INT8", 0.05, 3), 4
    for filters, kernel, stride in layers:
        depth = kernel > 1 and filters == channels
        extents = (1, kernel, kernel, channels) if depth else (filters, kernel, kernel, channels)
        w = model.const(rng.integers(-127, 128, extents).astype(np.int8), "INT8", 0.01)
        b = model.const(rng.integers(-500, 500, filters), "INT32", 0.0005)
        options: dict[str, Any] = {"padding": "SAME", "stride_h": stride, "stride_w": stride}
        if depth:
            options["depth_multiplier"] = 1
        side = -(-side // stride)
        made = spec((1, side, side, filters), "INT8", 0.3, -5)
        op = "DEPTHWISE_CONV_2D" if depth else "CONV_2D"
        tensor, channels = model.op(op, [tensor, w, b], [made], options)[0], filters
    model.output(tensor)
    samples = [[rng.integers(-128, 128, shape).astype(np.int8)] for _ in range(3)]
    case = Case("chain", model.build(), samples, isa)
    program, _ = compile_case(case, "probe")
    largest = max(t.nbytes for t in program.main.graph.tensors.values() if not t.is_const)
    made_of = calls(case)
    assert len(made_of) == len(layers)
    scratch = max(call.scratch_bytes for call in made_of)
    assert program.arena_bytes <= largest + scratch + room, program.arena_bytes
    climb([case], work)
