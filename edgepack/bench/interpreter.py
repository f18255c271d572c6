"""A model loaded into an interpreter child: what oracle and host reference have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.bench.child import EngineName, InterpreterChild
from edgepack.bench.model_facts import ModelFacts, model_facts
from edgepack.errors import DataError
from edgepack.types import Array

LOAD_SECONDS = 120.0
RUN_SECONDS = 120.0  # for one block of samples
_BLOCK = 64  # samples sent at a time: progress shows, and a hang is seen after one block


@dataclass(frozen=True)
class TensorLayout:
    """Shape and numpy dtype of one input or output of a loaded model."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Block:
    """Results of some samples: per output an array [samples, *shape]; the time of each run."""

    outputs: tuple[Array, ...]
    nanoseconds: tuple[int, ...]


class LoadedModel:
    """A model inside a child process. Loads again by itself when the child was restarted."""

    def __init__(self, child: InterpreterChild, model: bytes, options: dict[str, Any]) -> None:
        self.child = child
        self.facts: ModelFacts = model_facts(model)
        self._model = model
        self._options = options
        self.version = ""
        self.inputs: tuple[TensorLayout, ...] = ()
        self.load()

    def load(self, **options: Any) -> None:
        """(Re)load the model, with changed engine options."""
        self._options = {**self._options, **options}
        main = self.facts.subgraphs[0]
        header = {
            "cmd": "load",
            **self._options,
            "inputs": len(main.inputs),
            "outputs": len(main.outputs),
        }
        reply, _ = self.child.request(header, [self._model], timeout=LOAD_SECONDS)
        self.version = reply["version"]
        self.inputs = tuple(_layout(d) for d in reply["inputs"])

    def run(self, inputs: Sequence[Array], *, fresh: bool = False, warmup: int = 0) -> Block:
        """Run samples in order, as one block.

        Args:
            inputs: per model input an array [samples, *shape] in the input's dtype.
            fresh: start every sample from the model's initial state; else state carries over.
            warmup: untimed runs of the first sample before the others.

        Raises:
            DataError: the arrays do not match the model's inputs.
            InterpreterCrash, InterpreterRefusal: see edgepack/bench/child.py.
        """
        samples = self._check(inputs)
        header = {
            "cmd": "run",
            "samples": samples,
            "fresh": fresh,
            "warmup": warmup,
            "outputs": len(self.facts.subgraphs[0].outputs),
        }
        blobs = [np.ascontiguousarray(a).tobytes() for a in inputs]
        reply, out = self.child.request(header, blobs, timeout=RUN_SECONDS)
        outputs = tuple(
            np.frombuffer(blob, d["dtype"]).reshape((samples, *d["shape"]))
            for blob, d in zip(out, reply["outputs"], strict=True)
        )
        return Block(outputs, tuple(reply["ns"]))

    def tensors(self, subgraph: int = 0) -> dict[int, Array]:
        """Every tensor that the last sample of the last run computed (needs `preserve`)."""
        indices = list(self.facts.subgraphs[subgraph].computed)
        header = {"cmd": "tensors", "indices": indices, "subgraph": subgraph}
        reply, out = self.child.request(header, timeout=RUN_SECONDS)
        return {
            index: np.frombuffer(blob, d["dtype"]).reshape(d["shape"])
            for index, blob, d in zip(indices, out, reply["tensors"], strict=True)
        }

    def _check(self, inputs: Sequence[Array]) -> int:
        if len(inputs) != len(self.inputs):
            raise DataError(f"the model has {len(self.inputs)} inputs, got {len(inputs)} arrays")
        samples = len(inputs[0]) if inputs else 1
        for i, (array, layout) in enumerate(zip(inputs, self.inputs, strict=True)):
            if array.shape != (samples, *layout.shape) or array.dtype != layout.dtype:
                raise DataError(
                    f"input {i}: got shape {array.shape} of {array.dtype}",
                    allowed=f"shape {(samples, *layout.shape)} of {layout.dtype}",
                )
        return samples


def blocks(inputs: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Samples cut into blocks of a size that keeps progress visible."""
    samples = len(inputs[0]) if inputs else 1
    return [tuple(a[i : i + _BLOCK] for a in inputs) for i in range(0, samples, _BLOCK)]


def engine_child(engine: EngineName) -> InterpreterChild:
    """A child for one engine, not started yet."""
    return InterpreterChild(engine)


def _layout(described: dict[str, Any]) -> TensorLayout:
    return TensorLayout(tuple(described["shape"]), np.dtype(described["dtype"]))
