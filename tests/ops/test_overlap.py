"""The memory that windowed kernels let input and output share, against a walk over elements."""

from __future__ import annotations

import itertools
import math

import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.streaming import window_overlap
from edgepack.ops.shared.window import window
from tests.tflite_builder import ModelBuilder, spec


def _smallest_lead(
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    kernel: int,
    stride: int,
    pad: int,
    by_channel: bool,
) -> int:
    """What the order of reads and writes of the portable kernels really needs, in elements."""
    _, height, width, channels = in_shape
    # (lowest read, end of the write) of every output element in order
    steps: list[tuple[int, int]] = []
    for b, oy, ox, oc in itertools.product(*(range(n) for n in out_shape)):
        reads = [
            ((b * height + y) * width + x) * channels + (oc if by_channel else 0)
            for y in range(oy * stride - pad, oy * stride - pad + kernel)
            for x in range(ox * stride - pad, ox * stride - pad + kernel)
            if 0 <= y < height and 0 <= x < width
        ]
        steps.append((min(reads), len(steps) + 1))
    lead, lowest = -math.prod(in_shape), math.prod(in_shape)
    for (read, _), (_, end) in zip(reversed(steps[1:]), reversed(steps[:-1]), strict=True):
        lowest = min(lowest, read)
        lead = max(lead, end - lowest)
    return lead


@pytest.mark.parametrize("by_channel", [True, False])
def test_overlap_is_safe_and_tight(by_channel: bool) -> None:
    checked = 0
    for batches, size, channels, filters, kernel, stride, padding in itertools.product(
        (1, 2), (1, 2, 5, 6), (1, 3), (1, 4), (1, 2, 3), (1, 2, 3), ("SAME", "VALID")
    ):
        span = window(size, kernel, stride, 1, padding)
        if span.out < 1 or (by_channel and filters != 4):
            continue
        outputs = channels if by_channel else filters
        in_shape = (batches, size, size, channels)
        out_shape = (batches, span.out, span.out, outputs)
        model = ModelBuilder()
        x = model.input("x", in_shape, "INT8", 0.1)
        model.output(*model.op("RELU", [x], [spec(out_shape, "INT8", 0.1)]))
        graph = load_tflite(model.build(), name="shapes").main
        view = NodeView.of(graph, graph.nodes[0])
        pads = (span.pad, span.pad)
        got = window_overlap(view, (stride, stride), pads, by_channel=by_channel).lead
        needed = _smallest_lead(in_shape, out_shape, kernel, stride, span.pad, by_channel)
        assert needed <= got <= max(needed, 0) + outputs, (in_shape, out_shape, kernel, stride)
        checked += 1
    assert checked > 100


def test_the_first_layer_of_a_network_needs_little_more_than_its_input() -> None:
    """3x3, stride 1, SAME, depthwise: one row and one pixel of lead, not a second buffer."""
    model = ModelBuilder()
    x = model.input("x", (1, 48, 48, 8), "INT8", 0.1)
    model.output(*model.op("RELU", [x], [spec((1, 48, 48, 8), "INT8", 0.1)]))
    graph = load_tflite(model.build(), name="shapes").main
    overlap = window_overlap(NodeView.of(graph, graph.nodes[0]), (1, 1), (1, 1), by_channel=True)
    assert overlap.lead == 49 * 8
