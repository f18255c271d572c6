"""The columns of the evaluation: float, integer on this computer, integer on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgepack.models.handle import TensorSpec
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import parse_tflite, tensor_spec
from edgepack.quantize.evaluate import agreement, run_model, score
from edgepack.quantize.params import QParams
from edgepack.types import Array

# (float outputs, labels) -> a figure, of the user's
UserMetric = Callable[[Array, Array | None], float]


@dataclass(frozen=True)
class Judge:
    """How outputs are judged: the user's own figure by its name, and the k of top-k."""

    metric: tuple[str, UserMetric] | None = None
    top_k: int = 5


@dataclass(frozen=True)
class Tested:
    """What is evaluated, and with what.

    Attributes:
        exact, made: the float model and the quantized one.
        samples: inputs as the float model takes them, batch axis included.
        labels: of them, or None.
    """

    exact: bytes
    made: bytes
    samples: Sequence[tuple[Array, ...]]
    labels: Array | None

    def spread(self, count: int) -> tuple[Tested, list[int]]:
        """So many samples at even distances (all where there are fewer), and their positions."""
        last = len(self.samples) - 1
        chosen = np.unique(np.rint(np.linspace(0, last, min(count, last + 1))).astype(int))
        labels = None if self.labels is None else self.labels[chosen]
        rows = [self.samples[i] for i in chosen]
        return Tested(self.exact, self.made, rows, labels), [int(i) for i in chosen]


def ends(data: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a `.tflite`."""
    main = parse_tflite(data, "the model").subgraphs[0]
    inputs, outputs = (
        tuple(tensor_spec(main.tensors[i]) for i in indices)
        for indices in (main.inputs, main.outputs)
    )
    return inputs, outputs


def stored_as(specs: Sequence[TensorSpec]) -> list[QParams | None]:
    """How a model stores its inputs or outputs."""
    return [
        None
        if spec.scale is None or spec.zero_point is None
        else QParams(spec.dtype, spec.scale, spec.zero_point)
        for spec in specs
    ]


def real_outputs(
    data: bytes, samples: Sequence[tuple[Array, ...]], progress: Progress, stage: str
) -> list[Array]:
    """Outputs of a float or quantized model on this computer, as real numbers."""
    inputs, outputs = (stored_as(side) for side in ends(data))
    return run_model(data, samples, inputs, outputs, progress, stage)


def judged(name: str, outputs: Sequence[Array], labels: Array | None, by: Judge) -> dict[str, Any]:
    """The figures of a column under its name; none for a model with several outputs."""
    if len(outputs) != 1:
        return {}
    figures = score(outputs[0], labels, by.top_k)
    found: dict[str, Any] = {name: None if figures is None else figures.as_dict()}
    if by.metric is not None:
        title, measure = by.metric
        found[f"{name}_user"] = {"metric": title, "value": measure(outputs[0], labels)}
    return found


def evaluate(
    tested: Tested, by: Judge, progress: Progress = silent
) -> tuple[dict[str, Any], list[Array]]:
    """Float and integer model on this computer, on all samples; and the float model's outputs."""
    exact = real_outputs(tested.exact, tested.samples, progress, "evaluate float")
    got = real_outputs(tested.made, tested.samples, progress, "evaluate quantized")
    pairs = zip(exact, got, strict=True)
    found = {
        "samples": len(tested.samples),
        "outputs": [asdict(agreement(one, other, tested.labels)) for one, other in pairs],
        **judged("float", exact, tested.labels, by),
        **judged("quantized", got, tested.labels, by),
    }
    return found, exact
