"""Golden vectors: what a phone must compute for recorded inputs, and how exactly.

The outputs are LiteRT's with XNNPACK, which is what phones run by default. No two of LiteRT's
kernel sets agree to the last bit (docs/apps.md), so a tolerance comes with them: twice what the
host's own three sets differ by on these very inputs, and not less than a floor. A sample on which
they differ much, such as one between two classes, would prove little: of many, the ones on which
they agree best are kept, of different classes where that costs no tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.bench.child import InterpreterRefusal
from edgepack.bench.interpreter import LoadedModel, engine_child
from edgepack.types import Array

# Integers: each of two roundings, of the accumulator and of the output, can go the other way.
INTEGER_FLOOR = 2.0
# Of the largest golden value: float32 sums in another order, through tens of layers.
FLOAT_FLOOR = 1e-3
# The same where activations are quantized afresh for every inference (hybrid kernels): one value
# near a rounding boundary moves a step of 1/127.
HYBRID_FLOOR = 2e-2
_MARGIN = 2.0


@dataclass(frozen=True)
class GoldenRun:
    """Golden outputs.

    kept: which of the given samples they belong to, ascending. outputs: per output an array
    [samples, *shape]. tolerances: per output, in stored steps for integers, absolute for floats.
    reference: what computed them. compared: the kernel sets that the tolerance takes in.
    """

    kept: tuple[int, ...]
    outputs: tuple[Array, ...]
    tolerances: tuple[float, ...]
    reference: str
    compared: tuple[str, ...]
    stateful: bool


def run_golden(model: bytes, inputs: Sequence[Array], *, keep: int, hybrid: bool) -> GoldenRun:
    """Compute golden outputs; every sample starts from the model's initial state.

    Args:
        model: the `.tflite` file.
        inputs: per model input an array [samples, *shape] in the input's dtype.
        keep: how many samples to keep.
        hybrid: whether it holds int8 weights beside float activations.

    Raises:
        InterpreterCrash, InterpreterRefusal: LiteRT died or refused the model.
        DataError: the inputs do not match.
    """
    with engine_child("litert") as child:
        options = {"threads": 1, "kernels": "xnnpack", "preserve": False}
        loaded = LoadedModel(child, model, options)
        golden = loaded.run(inputs, fresh=True).outputs
        compared, others = ["xnnpack"], []
        for kernels in ("optimized", "reference"):
            try:
                loaded.load(kernels=kernels)
                others.append(loaded.run(inputs, fresh=True).outputs)
                compared.append(kernels)
            except InterpreterRefusal:
                continue  # a kernel set that lacks an operator of the model: nothing to compare
    floors = [_floor(array, HYBRID_FLOOR if hybrid else FLOAT_FLOOR) for array in golden]
    spreads = [_spread(array, [o[i] for o in others]) for i, array in enumerate(golden)]
    kept = _best(spreads, floors, golden[0], keep)
    tolerances = tuple(
        max(floor, _MARGIN * float(spread[list(kept)].max()))
        for floor, spread in zip(floors, spreads, strict=True)
    )
    outputs = tuple(array[list(kept)] for array in golden)
    reference = f"LiteRT {loaded.version} with XNNPACK"
    return GoldenRun(kept, outputs, tolerances, reference, tuple(compared), loaded.facts.stateful)


def _floor(golden: Array, share: float) -> float:
    if golden.dtype.kind == "b":
        return 0.0
    if golden.dtype.kind != "f":
        return INTEGER_FLOOR
    # never 0: an output of zeros alone leaves the rounding of a float near 1
    largest = float(np.abs(golden.astype(np.float64)).max(initial=0.0))
    return share * (largest or 1.0)


def _spread(golden: Array, others: Sequence[Array]) -> Array:
    """Per sample how far the kernel sets are apart, in stored units."""
    values = golden.astype(np.float64).reshape(len(golden), -1)
    spread = np.zeros(len(golden))
    for other in others:
        difference = np.abs(other.astype(np.float64).reshape(len(golden), -1) - values)
        spread = np.maximum(spread, difference.max(axis=1))
    return spread


def _best(
    spreads: Sequence[Array], floors: Sequence[float], first: Array, keep: int
) -> tuple[int, ...]:
    """The samples to keep: of each class the one best agreed on, then whichever comes next."""
    # in units of what the floor lets through; below that, one sample is as good as another
    cost = np.max(
        [np.maximum(_MARGIN * s / (f or 1.0), 1.0) for s, f in zip(spreads, floors, strict=True)],
        axis=0,
    )
    order = [int(i) for i in np.argsort(cost, kind="stable")]
    classes = first.reshape(len(first), -1).argmax(axis=1)
    chosen: list[int] = []
    for index in order:
        if cost[index] <= 1.0 and classes[index] not in {classes[i] for i in chosen}:
            chosen.append(index)
    chosen += [index for index in order if index not in chosen]
    return tuple(sorted(chosen[:keep]))
