"""The oracle: whose output bytes the device must equal.

It is TensorFlow Lite Micro's own interpreter on the host (the `tflite-micro` wheel), in a child
process. Where that wheel is not installed (it exists for Linux only), LiteRT's reference kernels
stand in, and the oracle's name says so: their int8 FULLY_CONNECTED rounds once where TFLM rounds
twice, so a difference of one there is not the device's fault.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from edgepack.bench.child import InterpreterChild, InterpreterRefusal
from edgepack.bench.interpreter import LoadedModel, blocks, engine_child
from edgepack.convert.float16 import widen_float16
from edgepack.errors import MissingToolError
from edgepack.types import Array

TFLM_MISSING = "tflite-micro is not installed"
TFLM_INSTALL = "pip install tflite-micro"
_ARENA_FLOOR = 4 << 20
# The wheel's own guess; too little for some small models, hence the floor and the retries.
_ARENA_PER_MODEL_BYTE = 10
_ARENA_LIMIT = 2 << 30
# What TFLM prints on stderr when its arena is too small (micro_allocator.cc, its planners).
_ARENA_WORDS = ("failed to allocate", "arena size", "memory plan", "failed to resize", "missing:")


def tflm_installed() -> bool:
    """Whether the tflite-micro wheel is there."""
    return importlib.util.find_spec("tflite_micro") is not None


class TflmModel(LoadedModel):
    """A model in TFLM's interpreter. The arena grows until the model fits.

    Args:
        child: a child of the engine `tflm`; several models may use it one after the other.
        model: the `.tflite` file.
        preserve: keep every intermediate tensor, so that `tensors` works (takes more memory).

    Raises:
        MissingToolError: the wheel is not installed.
        InterpreterRefusal: TFLM cannot run the model; the message holds its reason.
        InterpreterCrash: its process died.
    """

    def __init__(self, child: InterpreterChild, model: bytes, *, preserve: bool = False) -> None:
        if not tflm_installed():
            raise MissingToolError(TFLM_MISSING, next_step=TFLM_INSTALL)
        arena = max(_ARENA_FLOOR, _ARENA_PER_MODEL_BYTE * len(model))
        while True:
            try:
                super().__init__(child, model, {"arena": arena, "preserve": preserve})
                return
            except InterpreterRefusal as error:
                text = error.stderr.lower()
                if arena >= _ARENA_LIMIT or not any(word in text for word in _ARENA_WORDS):
                    raise
                arena *= 8


class Oracle:
    """Expected outputs of one model; a context manager that ends its child process.

    `name` says which interpreter it is and its version, as run.json records it; `exact` is False
    for the stand-in, which may differ from TFLM by one in FULLY_CONNECTED, and for LiteRT.

    Args:
        model: the `.tflite` file.
        judge: `litert` where the device runs LiteRT itself: then LiteRT on this computer is what
            to compare with, though its kernels round otherwise on another CPU.
    """

    def __init__(self, model: bytes, judge: Literal["tflm", "litert"] = "tflm") -> None:
        self.exact = tflm_installed() and judge == "tflm"
        self._child = engine_child("tflm" if self.exact else "litert")
        try:
            if self.exact:
                wide = widen_float16(model)
                self._model: LoadedModel = TflmModel(self._child, wide)
                note = "" if wide is model else ", float16 weights widened to float32"
                self.name = f"tflite-micro {self._model.version}{note}"
            elif judge == "litert":
                options = {"threads": 1, "kernels": "xnnpack", "preserve": False}
                self._model = LoadedModel(self._child, model, options)
                self.name = f"LiteRT {self._model.version} (XNNPACK) on this computer"
            else:
                options = {"threads": 1, "kernels": "reference", "preserve": False}
                self._model = LoadedModel(self._child, model, options)
                self.name = (
                    f"ai-edge-litert {self._model.version} reference kernels ({TFLM_MISSING})"
                )
        except BaseException:
            self._child.close()
            raise

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *exc: object) -> None:
        self._child.close()

    @property
    def stateful(self) -> bool:
        """Whether an invocation depends on the ones before it."""
        return self._model.facts.stateful

    def run(
        self,
        inputs: Sequence[Array],
        *,
        fresh: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Array, ...]:
        """Per output an array [samples, *shape].

        Args:
            inputs: per model input an array [samples, *shape] in the input's dtype.
            fresh: start every sample from the initial state; else state carries over.
            progress: called with the number of samples done since the last call.
        """
        parts = []
        for block in blocks(inputs):
            parts.append(self._model.run(block, fresh=fresh).outputs)
            if progress is not None:
                progress(len(parts[-1][0]) if parts[-1] else 1)
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
