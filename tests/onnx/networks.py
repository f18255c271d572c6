"""Networks like those that people deploy, as ONNX graphs with images channels first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.onnx.models import Graph

SIZE = 16
UNITS = STEPS = 12  # the same, so that sizes alone do not tell axes apart


def _shape(g: Graph, name: str, *sizes: int) -> str:
    return g.constant(name, np.array(sizes, np.int64))


def _relu6(g: Graph, x: str) -> str:
    low, high = (g.constant(f"{x}_{n}", np.float32(v)) for n, v in (("low", 0), ("high", 6)))
    return g.node("Clip", [x, low, high], f"{x}_relu6")


def _norm(g: Graph, x: str, channels: int) -> str:
    positive = np.abs(g.generator.normal(1, 0.2, channels)).astype(np.float32)
    names = [g.floats(f"{x}_{n}", channels, scale=0.3) for n in ("beta", "mean")]
    scale, variance = (g.constant(f"{x}_{n}", positive) for n in ("gamma", "variance"))
    return g.node("BatchNormalization", [x, scale, names[0], names[1], variance], f"{x}_norm")


def _classes(g: Graph, x: str, channels: int) -> str:
    g.node("GlobalAveragePool", [x], "pooled")
    g.node("Flatten", ["pooled"], "flat")
    weights = [g.floats("classes_w", channels, 5, scale=0.3), g.floats("classes_b", 5)]
    return g.node("Gemm", ["flat", *weights], "y")


def mobilenet(g: Graph) -> list[int]:
    """Inverted residuals (Sandler et al. 2018)."""
    x = _relu6(g, _norm(g, g.conv("x", "stem", (3, 8, 3), strides=[2, 2]), 8))
    for i, stride in enumerate((1, 2, 1)):
        y = _relu6(g, _norm(g, g.conv(x, f"up{i}", (8, 24, 1)), 24))
        y = g.conv(y, f"dw{i}", (1, 24, 3), group=24, strides=[stride] * 2)
        y = _norm(g, g.conv(_relu6(g, _norm(g, y, 24)), f"down{i}", (24, 8, 1)), 8)
        x = g.node("Add", [x, y], f"sum{i}") if stride == 1 else y
    _classes(g, x, 8)
    return [1, 5]


def squeeze_excite(g: Graph) -> list[int]:
    """A residual block whose channels are weighed by a small dense network."""
    x = g.node("HardSwish", [_norm(g, g.conv("x", "stem", (3, 8, 3), strides=[2, 2]), 8)], "h")
    y = g.node("Relu", [g.conv(x, "dw", (1, 8, 3), group=8)], "r")
    s = g.node("ReduceMean", [y], "m", axes=[2, 3], keepdims=0)
    s = g.node("Relu", [g.node("Gemm", [s, g.floats("w1", 8, 4), g.floats("b1", 4)], "g1")], "r1")
    s = g.node("Gemm", [s, g.floats("w2", 4, 8), g.floats("b2", 8)], "g2")
    s = g.node("HardSigmoid", [s], "gate", alpha=1 / 6)
    s = g.node("Reshape", [s, _shape(g, "image", 1, 8, 1, 1)], "gates")
    y = g.node("Mul", [y, s], "weighed")
    _classes(g, g.node("Add", [x, y], "sum"), 8)
    return [1, 5]


def shuffle(g: Graph) -> list[int]:
    """Split, branches, concatenation, channel shuffle, upsampling."""
    x = g.node("Relu", [g.conv("x", "stem", (3, 8, 3))], "r")
    _shape(g, "halves", 4, 4)
    from onnx import helper

    g.nodes.append(helper.make_node("Split", [x, "halves"], ["a", "b"], name="split", axis=1))
    a, b = g.conv("a", "left", (4, 4, 3)), g.conv("b", "right", (4, 4, 5))
    c = g.node("Concat", [a, b], "cat", axis=1)
    c = g.node("Reshape", [c, _shape(g, "groups", 1, 2, 4, SIZE, SIZE)], "grouped")
    c = g.node("Transpose", [c], "turned", perm=[0, 2, 1, 3, 4])
    c = g.node("Reshape", [c, _shape(g, "joined", 1, 8, SIZE, SIZE)], "shuffled")
    c = g.conv(c, "grouped_conv", (4, 8, 1), group=2)
    scales = g.constant("scales", np.array([1, 1, 2, 2], np.float32))
    mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    g.node("Resize", [c, "", scales], "larger", nearest_mode="floor", **mode)
    g.node("Sigmoid", [g.conv("larger", "last", (8, 2, 1))], "y")
    return [1, 2, 2 * SIZE, 2 * SIZE]


def reshaped_head(g: Graph) -> list[int]:
    """An image flattened into a dense layer."""
    x = g.node("Relu", [g.conv("x", "stem", (3, 4, 3))], "r")
    x = g.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
    rows = 4 * (SIZE // 2) ** 2
    x = g.node("Reshape", [x, _shape(g, "row", 1, rows)], "flat")
    g.node("Gemm", [x, g.floats("w", rows, 5, scale=0.1), g.floats("b", 5)], "y")
    return [1, 5]


def _recurrent(kind: str) -> Callable[[Graph], list[int]]:
    def network(g: Graph) -> list[int]:
        gates = {"LSTM": 4, "GRU": 3}[kind]
        g.node("Transpose", ["x"], "steps", perm=[1, 0, 2])
        weights = [
            g.floats("w", 1, gates * UNITS, 8, scale=0.4),
            g.floats("r", 1, gates * UNITS, UNITS, scale=0.3),
            g.floats("b", 1, 2 * gates * UNITS, scale=0.2),
        ]
        extra = {"linear_before_reset": 1} if kind == "GRU" else {}
        g.node(kind, ["steps", *weights], "cells", hidden_size=UNITS, **extra)
        g.node("Squeeze", ["cells", _shape(g, "one", 1)], "rows")
        g.node("Transpose", ["rows"], "batch", perm=[1, 0, 2])
        g.node("MatMul", ["batch", g.floats("last", UNITS, 4)], "product")
        g.node("Add", ["product", g.floats("last_b", 4)], "y")
        return [1, STEPS, 4]

    return network


NETWORKS: dict[str, Callable[[Graph], list[int]]] = {
    "mobilenet": mobilenet,
    "squeeze_excite": squeeze_excite,
    "shuffle": shuffle,
    "reshaped_head": reshaped_head,
    "lstm": _recurrent("LSTM"),
    "gru": _recurrent("GRU"),
}
IMAGES = tuple(name for name in NETWORKS if name not in ("lstm", "gru"))


def save(name: str, path: Path) -> Path:
    """Write a network."""
    g = Graph(seed=11)
    shape = NETWORKS[name](g)
    source = [1, 3, SIZE, SIZE] if name in IMAGES else [1, STEPS, 8]
    return g.save(path, {"x": source}, {"y": shape})
