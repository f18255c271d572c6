"""What every converter gets and gives: the request, the opened source, and the clock of stages."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edgepack.models.handle import TensorSpec
from edgepack.models.progress import Progress, silent
from edgepack.types import Array, Shape

DEFAULT_SECONDS = 600.0
# What TensorFlow itself takes is about 600 MB; a network for a phone needs a few times its weights.
DEFAULT_MEMORY_MB = 6144
DEFAULT_TO = "tflite"


@dataclass(frozen=True)
class ConvertOptions:
    """How to convert.

    Attributes:
        to: what to write, a name of `outputs.OUTPUTS`.
        input_shapes: fixed shapes of inputs by name, batch first; the empty name means the only
            input. Whatever the model leaves open must stand here, except the batch, which is 1.
        trust_model_code: run code that the model file holds (Keras Lambda layers, custom classes).
        keep_nchw: leave an input as the source has it, channels first, instead of channels last.
        data: an `.npz` of real samples to compare source and result on, or None.
        time_limit: seconds for the whole conversion.
        memory_limit: megabytes (2^20 bytes) that the converting process may take.
    """

    to: str = DEFAULT_TO
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    trust_model_code: bool = False
    keep_nchw: bool = False
    data: Path | None = None
    time_limit: float = DEFAULT_SECONDS
    memory_limit: int = DEFAULT_MEMORY_MB


@dataclass(frozen=True)
class Request:
    """What the child is to do: `ConvertOptions` in plain JSON, with the model and where to write.

    `opener` is `module:function` of the source format: `open_source(request, stages) -> Source`.
    """

    opener: str
    model: str
    folder: str
    to: str
    input_shapes: dict[str, list[int]]
    trust_model_code: bool
    keep_nchw: bool
    data: str | None

    @property
    def path(self) -> Path:
        """The model."""
        return Path(self.model)

    @property
    def input_shapes_by_name(self) -> dict[str, Shape]:
        """The shapes that the user fixed."""
        return {name: tuple(shape) for name, shape in self.input_shapes.items()}

    def shape_for(self, name: str, inputs: int) -> Shape | None:
        """The shape that the user fixed for an input, or None."""
        found = self.input_shapes.get(name)
        if found is None and inputs == 1:
            found = self.input_shapes.get("")
        return None if found is None else tuple(found)


class Source(Protocol):
    """A model that was opened in the child process, at batch 1 and with every shape fixed.

    Attributes:
        description: what `ModelHandle.from_description` reads: the model as its file has it.
        inputs: the inputs as they are after the conversion, shapes without -1. Their order is that
            of the source and must be that of the `.tflite`; so must that of the outputs.
        nodes: operators of the source's graph; None where the format has none to count.
        warnings: what the user should know, one sentence each; more may come in `to_tflite`.
    """

    description: dict[str, Any]
    inputs: tuple[TensorSpec, ...]
    nodes: int | None
    warnings: list[str]

    def to_tflite(self) -> bytes:
        """Convert to a `.tflite` of the source's own precision.

        Raises:
            UnsupportedError: it holds what TFLite has no operator for; says which layer it is.
            ConversionError: the converter failed otherwise.
        """

    def run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...] | None:
        """The source framework's own outputs for one sample; None where it cannot run.

        Args:
            inputs: one array per input, of the shape and dtype that `self.inputs` says; a converter
                that changes the layout turns it back here.
        """


class Stages:
    """Times the stages of a conversion and tells the user which one is running."""

    def __init__(self, progress: Progress = silent) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextlib.contextmanager
    def __call__(self, name: str, message: str = "") -> Iterator[None]:
        """Time a block as the stage `name`; blocks of one name add up."""
        self._progress(name, None, message)
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            self._progress(name, 1.0, f"{took:.1f} s")
