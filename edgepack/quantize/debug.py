"""Which operators lose what: an integer model beside its float model, on real samples.

Three figures per operator tell different things. `sqnr_db` is the error of its output in the whole
integer model, so it holds what earlier operators did. `alone_db` is the error of the model's output
when this operator alone is quantized: who is to blame is ranked by it. `saturated` and the ranges
say why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import UnsupportedError
from edgepack.models.progress import Progress, silent
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.debug_runs import Watched, output_noise, reference_outputs, watch
from edgepack.quantize.layers import layers
from edgepack.quantize.params import QParams
from edgepack.quantize.plan import OpKey, Range
from edgepack.quantize.policy import WEIGHTED
from edgepack.quantize.ptq import PtqOptions, PtqResult, calibrate, quantize
from edgepack.quantize.ranges import TensorStats
from edgepack.quantize.rules import uniform
from edgepack.quantize.units import computes, only, raised, units
from edgepack.types import Array, DType

STAGE = "debug"
REPAIRS = ("int16x8", "float", "int8")
EQUALIZE = "equalize"
_UNEQUAL = 8.0  # a channel this many times narrower than the widest loses 3 of 8 bits


@dataclass(frozen=True)
class OpError:
    """What quantization does at one operator.

    Attributes:
        op, name, scheme: the operator, its output tensor, how it is quantized.
        alone_db: SQNR of the model's outputs with this operator alone quantized; None: no error.
        weights_db: the same with its weights alone rounded, its activations in float; None without
            weights.
        sqnr_db: of its output in the whole integer model; None: no error.
        max_abs: the largest error there, in the tensor's own unit.
        cosine: of float and integer values.
        saturated: share of values beyond what the output's type can hold, 0 to 1.
        seen: the range of its float output on these samples.
        storable: the range that its stored output can hold; None in float.
        calibrated: the range measured in calibration.
        weight_spread: largest over median of the weight channels' ranges, None without weights.
        channel_spread: the same of the output's channels.
    """

    op: str
    name: str
    scheme: str
    alone_db: float | None
    weights_db: float | None
    sqnr_db: float | None
    max_abs: float
    cosine: float
    saturated: float
    seen: Range
    storable: Range | None
    calibrated: Range | None
    weight_spread: float | None
    channel_spread: float | None

    @property
    def why(self) -> tuple[str, ...]:
        """What the figures hint at, for a reader."""
        found = []
        if self.weights_db is not None and self.alone_db is not None:
            blame = "weights" if self.weights_db < self.alone_db + 3 else "activations"
            found.append(f"mostly its {blame}")
        if self.saturated > 1e-3:
            found.append(f"{100 * self.saturated:.2g} % of its values lie beyond its range")
        if self.storable is not None:
            held = self.storable[1] - self.storable[0]
            used = (self.seen[1] - self.seen[0]) / held if held > 0 else 1.0
            if used < 0.25:
                found.append(f"these samples use {100 * used:.0f} % of its range")
        if self.weight_spread is not None and self.weight_spread > _UNEQUAL:
            found.append(f"the widest weight channel is {self.weight_spread:.0f} x the median")
        if self.channel_spread is not None and self.channel_spread > _UNEQUAL:
            found.append(f"the widest output channel is {self.channel_spread:.0f} x the median")
        return tuple(found)


@dataclass(frozen=True)
class Attempt:
    """One operator kept otherwise, everything else as it was.

    Attributes:
        name: the operator's output; empty for a change of the whole model.
        repair: scheme, or `equalize`.
        sqnr_db: of the model's outputs then.
        gain_db: against the model as it was.
        bytes: what the `.tflite` grows by.
    """

    name: str
    repair: str
    sqnr_db: float | None
    gain_db: float
    bytes: int


@dataclass(frozen=True)
class Diagnosis:
    """All of it: operators in order of blame, attempts in order of gain."""

    samples: int
    sqnr_db: float | None
    operators: tuple[OpError, ...]
    attempts: tuple[Attempt, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        found = asdict(self)
        for entry, operator in zip(found["operators"], self.operators, strict=True):
            entry["why"] = list(operator.why)
        return found


def diagnose(
    calibrated: Calibrated,
    options: PtqOptions,
    result: PtqResult,
    samples: Sequence[tuple[Array, ...]],
    *,
    float_model: bytes | None = None,
    suspects: int = 3,
    progress: Progress = silent,
) -> Diagnosis:
    """Find the operators to blame.

    Args:
        calibrated: the float model.
        options: how `result` was made.
        result: the integer model.
        samples: real ones, float, batch axis included; best not those of the calibration.
        float_model: the model before equalization, for trying that; None leaves it out.
        suspects: how many operators to try repairs on.
        progress: told the share done.
    """
    reference = reference_outputs(calibrated.data, samples)
    seen = watch(calibrated, result, samples, progress)
    alone = _alone(calibrated, options, result, samples, reference, progress)
    operators = []
    for key, (op, name) in result.plan.names.items():
        if key in seen and not result.plan.schemes[key].is_float:
            operators.append(_error(calibrated, result, key, op, name, seen[key], alone.get(key)))
    spreads = _weight_spreads(calibrated, result)
    rounded = _weights_alone(calibrated, result, samples, reference, progress)
    operators = [
        replace(o, weight_spread=spreads.get(o.name), weights_db=rounded.get(o.name))
        for o in operators
    ]
    # no error at all is the best; what was not tried alone (it only moves values) comes last
    operators.sort(key=lambda o: math.inf if o.alone_db is None else o.alone_db)
    now = output_noise(result.data, samples, reference)
    attempts = _attempts(
        calibrated, options, result, operators[:suspects], samples, reference, now, progress
    )
    if float_model is not None and not options.equalize:
        found = _equalized(float_model, calibrated, options, result, samples, now, progress)
        attempts += [] if found is None else [found]
    attempts.sort(key=lambda a: -a.gain_db)
    progress(STAGE, 1.0, f"{len(operators)} operators")
    return Diagnosis(len(samples), now, tuple(operators), tuple(attempts))


def _alone(
    calibrated: Calibrated,
    options: PtqOptions,
    result: PtqResult,
    samples: Sequence[tuple[Array, ...]],
    reference: list[Array],
    progress: Progress,
) -> dict[OpKey, float | None]:
    """SQNR of the outputs with one operator quantized, for each."""
    found: dict[OpKey, float | None] = {}
    tried = [
        (key, name)
        for key, (op, name) in result.plan.names.items()
        if computes(op) and not result.plan.schemes[key].is_float
    ]
    for index, (key, name) in enumerate(tried):
        progress(STAGE, 0.3 + 0.4 * index / len(tried), f"{name} alone")
        rules = uniform("float").plus(only(name, result.plan.schemes[key].name))
        lone = replace(
            options,
            rules=rules,
            io=DType.FLOAT32,
            pins={},
            adaptive_rounding=False,
            bias_correction=False,
        )
        try:
            made = quantize(calibrated, lone)
        except UnsupportedError:
            continue
        found[key] = output_noise(made.data, samples, reference)
    return found


def _weights_alone(
    calibrated: Calibrated,
    result: PtqResult,
    samples: Sequence[tuple[Array, ...]],
    reference: list[Array],
    progress: Progress,
) -> dict[str, float | None]:
    """SQNR of the outputs of the float model with the weights of one operator rounded, by name."""
    found = {}
    for layer in layers(read_model(calibrated.data), result.plan):
        progress(STAGE, 0.7, f"weights of {layer.name}")
        model = read_model(calibrated.data)
        editor, graph = Editor(model), model.subgraphs[layer.key[0]]
        tensor = int(graph.operators[layer.key[1]].inputs[WEIGHTED[layer.op].weights])
        stored = result.adjustments.stored.get(layer.key, layer.nearest())
        graph.tensors[tensor].buffer = editor.add_buffer(layer.real(stored))
        found[layer.name] = output_noise(write_model(model), samples, reference)
    return found


def _error(
    calibrated: Calibrated,
    result: PtqResult,
    key: OpKey,
    op: str,
    name: str,
    seen: Watched,
    alone: float | None,
) -> OpError:
    tensor = seen.key
    params = result.plan.tensors.get(tensor)
    stats = calibrated.stats.get(tensor)
    return OpError(
        op=op,
        name=name,
        scheme=result.plan.schemes[key].name,
        alone_db=alone,
        weights_db=None,
        sqnr_db=seen.sqnr_db,
        max_abs=seen.max_abs,
        cosine=seen.cosine,
        saturated=seen.beyond / max(1, seen.count),
        seen=(seen.low, seen.high),
        storable=_storable(params),
        calibrated=calibrated.ranges.get(tensor),
        weight_spread=None,
        channel_spread=None if stats is None else _channel_spread(stats),
    )


def _storable(params: QParams | None) -> Range | None:
    return None if params is None else params.limits


def _channel_spread(stats: TensorStats) -> float | None:
    if stats.channel_low is None or stats.channel_high is None or len(stats.channel_low) < 2:
        return None
    return _spread(np.maximum(np.abs(stats.channel_low), np.abs(stats.channel_high)))


def _spread(widths: Array) -> float | None:
    """Largest over median; channels that are always zero do not count."""
    used = widths[widths > 0]
    return None if len(used) < 2 else float(used.max() / np.median(used))


def _weight_spreads(calibrated: Calibrated, result: PtqResult) -> dict[str, float]:
    """By output name, of the operators whose weights have one scale."""
    found = {}
    for layer in layers(read_model(calibrated.data), result.plan):
        axis = WEIGHTED[layer.op].axis
        others = tuple(i for i in range(layer.weights.ndim) if i != axis)
        spread = _spread(np.abs(layer.weights).max(axis=others))
        if spread is not None and layer.axis is None:
            found[layer.name] = spread
    return found


def _attempts(
    calibrated: Calibrated,
    options: PtqOptions,
    result: PtqResult,
    suspects: Sequence[OpError],
    samples: Sequence[tuple[Array, ...]],
    reference: list[Array],
    now: float | None,
    progress: Progress,
) -> list[Attempt]:
    found = []
    known = {unit.name: unit for unit in units(read_model(calibrated.data), result.plan)}
    for index, suspect in enumerate(suspects):
        if suspect.name not in known:
            continue  # inside a loop
        progress(STAGE, 0.7 + 0.25 * index / len(suspects), f"repairing {suspect.name}")
        for repair in REPAIRS:
            # int8 is the split of one scale of weights into one per channel
            if suspect.scheme == repair or (repair == "int8" and suspect.weight_spread is None):
                continue
            try:
                _, made = raised(calibrated, options, [(known[suspect.name], repair)])
            except UnsupportedError:
                continue
            then = output_noise(made.data, samples, reference)
            grown = len(made.data) - len(result.data)
            found.append(Attempt(suspect.name, repair, then, _gain(now, then), grown))
    return found


def _equalized(
    float_model: bytes,
    calibrated: Calibrated,
    options: PtqOptions,
    result: PtqResult,
    samples: Sequence[tuple[Array, ...]],
    now: float | None,
    progress: Progress,
) -> Attempt | None:
    """The scales of channels evened out between layers, in the whole model."""
    progress(STAGE, 0.95, "equalizing")
    changed = replace(options, equalize=True, pins={})
    other = calibrate(float_model, calibrated.samples, changed)
    if _same_tensors(other.data, calibrated.data):
        return None
    made = quantize(other, changed)
    then = output_noise(made.data, samples, reference_outputs(float_model, samples))
    return Attempt("", EQUALIZE, then, _gain(now, then), len(made.data) - len(result.data))


def _same_tensors(left: bytes, right: bytes) -> bool:
    """Whether two models hold the same numbers: there was nothing to equalize."""
    one, other = (Editor(read_model(data)) for data in (left, right))
    buffers = zip(one.model.buffers, other.model.buffers, strict=False)
    return len(one.model.buffers) == len(other.model.buffers) and all(
        np.array_equal(np.asarray(a.data), np.asarray(b.data)) for a, b in buffers
    )


def _gain(now: float | None, then: float | None) -> float:
    if now is None:
        return 0.0
    return math.inf if then is None else then - now
