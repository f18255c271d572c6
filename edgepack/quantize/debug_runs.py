"""Float and integer model side by side on samples: sums of errors, not the values themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import text, type_name
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.observe import Key, Observer
from edgepack.quantize.params import QParams
from edgepack.quantize.plan import OpKey
from edgepack.quantize.ptq import PtqResult
from edgepack.types import Array, DType

_STAGE = "debug"
# Steps outside the range from which a value counts as saturated: a softmax ends a step below 1.
_BEYOND = 1.01
Samples = Sequence[tuple[Array, ...]]


@dataclass
class Watched:
    """Sums over samples for one tensor: powers of signal and error, extremes, counts."""

    key: Key
    signal: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    other: float = 0.0
    max_abs: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    beyond: int = 0
    count: int = 0

    def add(self, exact: Array, got: Array, params: QParams | None) -> None:
        """Take in one inference."""
        a, b = exact.astype(np.float64).reshape(-1), got.astype(np.float64).reshape(-1)
        error = b - a
        self.signal += float(a @ a)
        self.noise += float(error @ error)
        self.product += float(a @ b)
        self.other += float(b @ b)
        self.max_abs = max(self.max_abs, float(np.abs(error).max(initial=0.0)))
        self.low = min(self.low, float(a.min(initial=np.inf)))
        self.high = max(self.high, float(a.max(initial=-np.inf)))
        self.count += a.size
        if params is not None:
            least, most = params.limits
            step = _BEYOND * params.scale
            self.beyond += int(((a < least - step) | (a > most + step)).sum())

    @property
    def sqnr_db(self) -> float | None:
        """Signal over error power in dB; None without an error."""
        return decibels(self.signal, self.noise)

    @property
    def cosine(self) -> float:
        """Of float and integer values."""
        norm = math.sqrt(self.signal * self.other)
        return self.product / norm if norm > 0 else 1.0


def decibels(signal: float, noise: float) -> float | None:
    """10 log10 of a ratio of powers; None where there is no noise."""
    return None if noise == 0 else 10 * math.log10(max(signal, 1e-300) / noise)


def watch(
    calibrated: Calibrated, result: PtqResult, samples: Samples, progress: Progress = silent
) -> dict[OpKey, Watched]:
    """Both models' values at every operator of the main graph, in one pass over the samples.

    Tensors are joined by name: those of the quantized model keep the float model's.
    """
    floats = Observer(calibrated.data)
    integers = Observer(result.data)
    graph = read_model(calibrated.data).subgraphs[0]
    outputs = {
        int(graph.operators[position].outputs[0]): (0, position)
        for g, position in result.plan.names
        if g == 0
    }
    names = {text(graph.tensors[t].name): t for t in outputs}
    made = read_model(result.data).subgraphs[0]
    forms = {i: stored_form(raw) for i, raw in enumerate(made.tensors)}
    pairs = {
        i: names[text(raw.name)] for i, raw in enumerate(made.tensors) if text(raw.name) in names
    }
    found: dict[OpKey, Watched] = {}
    inputs = [stored_form(made.tensors[int(i)]) for i in made.inputs]
    for index, sample in enumerate(samples):
        if index % max(1, len(samples) // 20) == 0:
            progress(_STAGE, 0.3 * index / len(samples), f"sample {index + 1}/{len(samples)}")
        exact = {
            s.key[1]: np.array(s.value)
            for s in floats.run(sample)
            if s.key[0] == 0 and s.key[1] in outputs
        }
        stored = [a if p is None else p.store(a) for a, p in zip(sample, inputs, strict=True)]
        met = set()
        for seen in integers.run(stored):
            g, t = seen.key
            tensor = pairs.get(t) if g == 0 else None
            if tensor is None or tensor in met or tensor not in exact:
                continue
            params = forms[t]
            real = seen.value if params is None else params.real(seen.value)
            if real.size != exact[tensor].size:
                continue
            met.add(tensor)
            entry = found.setdefault(outputs[tensor], Watched((0, tensor)))
            entry.add(exact[tensor], real, params)
    return found


def stored_form(raw: object) -> QParams | None:
    """Scale and zero point of a tensor of the schema; None for floats and per-channel constants."""
    quantization = getattr(raw, "quantization", None)
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return None
    dtype = DType(type_name(getattr(raw, "type")))  # noqa: B009  # the schema has no types
    return QParams(dtype, float(quantization.scale[0]), int(quantization.zeroPoint[0]))


def reference_outputs(data: bytes, samples: Samples) -> list[Array]:
    """Outputs of the float model, per sample one vector of all of them."""
    observer = Observer(data, only=())
    return [_joined(observer.outputs(sample)) for sample in samples]


def _joined(outputs: Sequence[Array]) -> Array:
    return np.concatenate([np.asarray(o, np.float64).reshape(-1) for o in outputs])


def output_noise(data: bytes, samples: Samples, reference: list[Array]) -> float | None:
    """SQNR of a quantized model's outputs, in dB; None without an error.

    Args:
        data: the model.
        samples: float.
        reference: from `reference_outputs`.
    """
    graph = read_model(data).subgraphs[0]
    inputs = [stored_form(graph.tensors[int(i)]) for i in graph.inputs]
    outputs = [stored_form(graph.tensors[int(i)]) for i in graph.outputs]
    observer = Observer(data, only=())
    signal = noise = 0.0
    for sample, exact in zip(samples, reference, strict=True):
        stored = [a if p is None else p.store(a) for a, p in zip(sample, inputs, strict=True)]
        got = observer.outputs(stored)
        real = [v if p is None else p.real(v) for v, p in zip(got, outputs, strict=True)]
        difference = _joined(real) - exact
        signal += float(exact @ exact)
        noise += float(difference @ difference)
    return decibels(signal, noise)
