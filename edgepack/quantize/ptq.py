"""Post-training quantization of a float `.tflite`: no TensorFlow, no original model.

    float model -> equalize -> ranges of activations -> plan -> (bias correction, rounding) -> int8

Each step is a file of its own and its result is data, so that a step can be run again alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.table import rewrite
from edgepack.models.progress import Progress, silent
from edgepack.quantize.apply import apply_plan
from edgepack.quantize.bias_correction import correct_biases
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.equalize import equalize
from edgepack.quantize.layers import Adjustments
from edgepack.quantize.observe import Observer
from edgepack.quantize.plan import Plan, Range, make_plan
from edgepack.quantize.ranges import DEFAULT_PERCENTILE, Method, collect, ranges_of
from edgepack.quantize.rounding import adapt_rounding
from edgepack.quantize.rules import Rules, uniform
from edgepack.types import Array, DType


@dataclass(frozen=True)
class PtqOptions:
    """How to quantize.

    Attributes:
        rules: which operator gets which scheme.
        io: type of inputs and outputs; None takes what the operators inside have.
        method: how activation ranges come from samples.
        percentile: for that method, in percent.
        pins: ranges by tensor name that count instead.
        equalize, bias_correction, adaptive_rounding: the extra steps.
    """

    rules: Rules = field(default_factory=lambda: uniform("int8"))
    io: DType | None = DType.INT8
    method: Method = "minmax"
    percentile: float = DEFAULT_PERCENTILE
    pins: Mapping[str, Range] = field(default_factory=dict)
    equalize: bool = False
    bias_correction: bool = False
    adaptive_rounding: bool = False


@dataclass(frozen=True)
class PtqResult:
    """A quantized model, and the plan that it follows (tensors numbered as in the float model)."""

    data: bytes
    plan: Plan
    adjustments: Adjustments


def calibrate(
    data: bytes,
    samples: Sequence[tuple[Array, ...]],
    options: PtqOptions,
    progress: Progress = silent,
) -> Calibrated:
    """Prepare a float model and measure the ranges of its activations.

    Args:
        data: the float `.tflite`.
        samples: each a tuple of float inputs, batch axis included.
        options: how.
        progress: told the share done.
    """
    data, _ = rewrite(data)
    if options.equalize:
        data = equalize(data, samples, progress)
    stats = collect(Observer(data), samples, options.method, progress)
    return Calibrated(data, samples, stats, ranges_of(stats, options.method, options.percentile))


def quantize(calibrated: Calibrated, options: PtqOptions, progress: Progress = silent) -> PtqResult:
    """Quantize a calibrated model.

    Raises:
        UnsupportedError: an operator has no kernel for its scheme.
        ConfigError: a rule or a pin that fits nothing.
    """
    model = read_model(calibrated.data)
    plan = make_plan(model, options.rules, calibrated.ranges, options.pins)
    adjustments = Adjustments()
    if options.adaptive_rounding:
        adjustments = adapt_rounding(calibrated, plan, progress)
    if options.bias_correction:
        adjustments = correct_biases(calibrated, plan, adjustments, progress)
    apply_plan(model, plan, options.io, adjustments)
    return PtqResult(write_model(model), plan, adjustments)
