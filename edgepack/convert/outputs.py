"""What a conversion can write: `--to`. To add one, write it in a file of its own and add a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgepack.convert.dynamic import to_dynamic
from edgepack.convert.float16 import to_float16
from edgepack.convert.report import Parity

# Tolerances and notable differences: max |source - result| over the range of the source.
FLOAT_TOLERANCE = 1e-4  # float32 in another order of additions stays far below it (docs/convert.md)
# Steps of rounding that differ add up through a network; a wrong scale or layout is far beyond.
QUANTIZED_TOLERANCE = 0.25
FLOAT16_TOLERANCE = 5e-2  # 11 bits of every weight, through tens of layers
FLOAT_NOTABLE = 1e-5
FLOAT16_NOTABLE = 5e-3
DYNAMIC_NOTABLE = 0.1  # 8 bits of every weight and, afresh for every sample, every activation
QDQ_NOTABLE = 2 / 255  # two steps of an int8 output


@dataclass(frozen=True)
class Written:
    """What a writer made: the bytes of the file, and what the user should know.

    `parity`: how it compares with the `.tflite`, where LiteRT cannot run it and the writer did.
    """

    data: bytes
    warnings: tuple[str, ...] = ()
    parity: tuple[Parity, ...] = ()


@dataclass(frozen=True)
class Output:
    """One thing to write.

    Attributes:
        suffix: of the file.
        write: the converted `.tflite` -> what is written; None keeps it as it is.
        tolerance: above which a difference from the source fails the conversion; None only reports
            it. Applies to float sources.
        notable: above which a difference is worth a warning.
        is_tflite: whether LiteRT can run it, so that it can be compared with the source.
    """

    suffix: str
    write: Callable[[bytes], Written] | None
    tolerance: float | None
    notable: float = FLOAT_NOTABLE
    is_tflite: bool = True


def _onnx_qdq(data: bytes) -> Written:
    from edgepack.convert.onnx_out.write import to_onnx_qdq

    made, warnings, parity = to_onnx_qdq(data)
    return Written(made, tuple(warnings), tuple(parity))


OUTPUTS: dict[str, Output] = {
    "tflite": Output(".tflite", None, FLOAT_TOLERANCE),
    "tflite-float16": Output(
        ".tflite", lambda data: Written(*to_float16(data)), FLOAT16_TOLERANCE, FLOAT16_NOTABLE
    ),
    "tflite-dynamic": Output(
        ".tflite", lambda data: Written(*to_dynamic(data)), None, DYNAMIC_NOTABLE
    ),
    "onnx-qdq": Output(".onnx", _onnx_qdq, None, QDQ_NOTABLE, is_tflite=False),
}
