"""Which benchmark a model is, and what the text protocol is told about its tensors."""

from __future__ import annotations

import pytest

from edgepack.emit.text_view import TASK_SHAPES, recognise_task, task_of, text_view_source
from edgepack.errors import UsageError
from edgepack.ir import Graph, Quantization, Tensor
from edgepack.types import DType

QUANTIZED = Quantization((0.5,), (-3,))


def graph(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    dtypes: tuple[DType, DType] = (DType.INT8, DType.INT8),
    quant: Quantization | None = QUANTIZED,
) -> Graph:
    tensors = {
        i: Tensor(id=i, name=f"t{i}", shape=(1, *shape), dtype=dtype, quant=quant)
        for i, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))
    }
    return Graph("main", tensors, (), (0,), (1,))


@pytest.mark.parametrize(("task", "shapes"), TASK_SHAPES.items())
def test_the_reference_shapes_name_the_task(
    task: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    assert recognise_task(graph(shapes)) == task
    assert task_of(graph(shapes), None, "my_model") == task
    assert task_of(graph(shapes), "none", "my_model") == "my_model"


def test_another_model_is_called_by_its_name() -> None:
    assert task_of(graph(((49, 10, 1), (11,))), None, "my_model") == "my_model"
    assert task_of(graph(((49, 10, 1), (11,))), "kws02", "my_model") == "kws02"


@pytest.mark.parametrize("wrong", ["", "kws 01", "a%b", "x" * 32, 'k"', "a]"])
def test_what_would_break_the_protocol_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="task id"):
        task_of(graph(((4,), (4,))), wrong, "m")


@pytest.mark.parametrize(
    "unfit",
    [
        graph(((640,), (10,))),
        graph(((640,), (640,)), (DType.INT16, DType.INT8)),
        graph(((640,), (640,)), quant=None),
    ],
)
def test_an_anomaly_needs_an_output_like_its_input(unfit: Graph) -> None:
    with pytest.raises(UsageError, match="ad01 compares"):
        task_of(unfit, "ad01", "m")


def test_images_are_pixels_only_where_the_input_is_int8() -> None:
    shapes = TASK_SHAPES["ic01"]
    assert "EP_TEXT_INPUT_U8" in text_view_source(graph(shapes), "ic01")
    floats = graph(shapes, (DType.FLOAT32, DType.FLOAT32), None)
    assert "EP_TEXT_INPUT_RAW" in text_view_source(floats, "ic01")
    assert "EP_TEXT_INPUT_RAW" in text_view_source(graph(TASK_SHAPES["kws01"]), "kws01")


def test_scales_reach_the_firmware() -> None:
    source = text_view_source(graph(((4,), (2,))), "m")
    assert source.count("{EP_TYPE_S8, 0.5f, -3}") == 2
    assert "ep_anomaly" not in source


def test_tensors_that_cannot_be_printed_as_numbers_stay_raw() -> None:
    source = text_view_source(graph(((4,), (2,)), (DType.INT8, DType.INT64)), "m")
    assert "ep_bench_outputs" not in source and "ep_bench_inputs" in source


def test_an_anomaly_keeps_its_sample_outside_the_arena() -> None:
    source = text_view_source(graph(((640,), (640,))), "ad01")
    assert "static float ep_bench_sample[640];" in source
