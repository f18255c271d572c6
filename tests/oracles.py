"""Interpreters that others wrote, for tests: one child for each, shared by the whole session.

A crash of the interpreter raises InterpreterCrash, a refusal InterpreterRefusal, both holding what
its C code printed; the next call starts a new child. Calls cost about 2 ms for a one-op model.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgepack.bench.child import EngineName, InterpreterChild, InterpreterCrash, InterpreterRefusal
from edgepack.bench.interpreter import LoadedModel
from edgepack.bench.oracle import TflmModel, tflm_installed
from edgepack.types import Array

__all__ = [
    "InterpreterCrash",
    "InterpreterRefusal",
    "litert_all_tensors",
    "run_litert",
    "run_litert_sequence",
    "run_tflm",
    "run_tflm_sequence",
    "tflm_all_tensors",
    "tflm_installed",
]

Kernels = Literal["reference", "optimized", "xnnpack"]
_children: dict[str, InterpreterChild] = {}


def _child(engine: EngineName) -> InterpreterChild:
    if engine not in _children:
        _children[engine] = InterpreterChild(engine)
        atexit.register(_children[engine].close)
    return _children[engine]


def _one(inputs: Sequence[Array]) -> list[Array]:
    return [np.asarray(a)[np.newaxis] for a in inputs]


def run_tflm(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of one invocation of a fresh TFLM interpreter; input i has the model's own shape."""
    return [o[0] for o in TflmModel(_child("tflm"), model).run(_one(inputs)).outputs]


def run_tflm_sequence(model: bytes, steps: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Outputs of each of several invocations in a row, for models that carry state."""
    return _sequence(TflmModel(_child("tflm"), model), steps)


def run_litert_sequence(
    model: bytes, steps: Sequence[Sequence[Array]], kernels: Kernels = "reference"
) -> list[list[Array]]:
    """The same from LiteRT."""
    loaded = LoadedModel(_child("litert"), model, _litert(kernels, preserve=False))
    return _sequence(loaded, steps)


def _sequence(loaded: LoadedModel, steps: Sequence[Sequence[Array]]) -> list[list[Array]]:
    if not steps[0]:  # a model without inputs
        return [[o[0] for o in loaded.run([]).outputs] for _ in steps]
    outputs = loaded.run([np.stack(column) for column in zip(*steps, strict=True)]).outputs
    return [[o[i] for o in outputs] for i in range(len(steps))]


def run_litert(
    model: bytes, inputs: Sequence[Array], kernels: Kernels = "reference"
) -> list[Array]:
    """Outputs of one invocation of a fresh LiteRT interpreter."""
    loaded = LoadedModel(_child("litert"), model, _litert(kernels, preserve=False))
    return [o[0] for o in loaded.run(_one(inputs)).outputs]


def tflm_all_tensors(model: bytes, inputs: Sequence[Array], subgraph: int = 0) -> dict[int, Array]:
    """Every computed tensor of a subgraph (tensor index -> values) after one TFLM invocation.

    Constants and resource handles are left out. Variable tensors hold their state after the run.
    """
    loaded = TflmModel(_child("tflm"), model, preserve=True)
    loaded.run(_one(inputs))
    return loaded.tensors(subgraph)


def litert_all_tensors(
    model: bytes, inputs: Sequence[Array], kernels: Kernels = "reference"
) -> dict[int, Array]:
    """The same from LiteRT."""
    loaded = LoadedModel(_child("litert"), model, _litert(kernels, preserve=True))
    loaded.run(_one(inputs))
    return loaded.tensors(0)


def _litert(kernels: Kernels, *, preserve: bool) -> dict[str, object]:
    return {"threads": 1, "kernels": kernels, "preserve": preserve}
