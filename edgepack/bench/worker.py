"""The interpreter child: `python -m edgepack.bench.worker tflm|litert`.

Both interpreters are native code that can crash on a broken model, and both say why they refuse one
on C stderr only. They therefore run here, one child per interpreter, driven over standard input and
output (edgepack/bench/wire.py) by edgepack/bench/child.py. Commands:

    load    model, preserve, arena | threads, kernels  ->  shape and dtype of inputs and outputs
    run     one blob per input with all samples, fresh, warmup  ->  one blob per output, ns of each
    tensors indices, subgraph  ->  one blob per tensor of the last run (needs preserve)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, BinaryIO

import numpy as np

from edgepack.bench.wire import Blob, Header, decode, encode
from edgepack.types import Array

_Reply = tuple[Header, list[Blob]]


class TflmEngine:
    """TensorFlow Lite Micro's own interpreter on the host (the `tflite-micro` wheel)."""

    def __init__(self) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self.version = metadata.version("tflite_micro")
        self._runtime = runtime

    def load(self, model: bytes, request: Header) -> None:
        config = self._runtime.InterpreterConfig
        self._build: Callable[[], Any] = lambda: self._runtime.Interpreter.from_bytes(
            model,
            arena_size=request["arena"],
            intrepreter_config=config.kPreserveAllTensors
            if request["preserve"]
            else config.kAllocationRecording,
        )
        self._inputs, self._outputs = request["inputs"], request["outputs"]
        self.reset()

    def reset(self) -> None:
        """A new interpreter: its own Reset() neither repeats CALL_ONCE nor clears every op."""
        self._interpreter = self._build()

    def details(self) -> tuple[list[Any], list[Any]]:
        get_in, get_out = (
            self._interpreter.get_input_details,
            self._interpreter.get_output_details,
        )
        return [get_in(i) for i in range(self._inputs)], [get_out(i) for i in range(self._outputs)]

    def set_input(self, index: int, value: Array) -> None:
        self._interpreter.set_input(value, index)

    def invoke(self) -> None:
        self._interpreter.invoke()

    def output(self, index: int) -> Array:
        return np.asarray(self._interpreter.get_output(index))

    def tensor(self, index: int, subgraph: int) -> Array:
        return np.asarray(self._interpreter.GetTensor(index, subgraph)["tensor_data"])


class LitertEngine:
    """LiteRT on the host CPU, with XNNPACK, its optimized or its reference kernels."""

    def __init__(self) -> None:
        from ai_edge_litert import interpreter

        self.version = metadata.version("ai-edge-litert")
        self._module = interpreter

    def load(self, model: bytes, request: Header) -> None:
        resolver = self._module.OpResolverType
        kind = {
            "xnnpack": resolver.BUILTIN,
            "optimized": resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": resolver.BUILTIN_REF,
        }[request["kernels"]]
        self._build: Callable[[], Any] = lambda: self._module.Interpreter(
            model_content=model,
            num_threads=request["threads"],
            experimental_op_resolver_type=kind,
            experimental_preserve_all_tensors=request["preserve"],
        )
        self.reset()

    def reset(self) -> None:
        self._interpreter = self._build()
        self._interpreter.allocate_tensors()
        self._in = [d["index"] for d in self._interpreter.get_input_details()]
        self._out = [d["index"] for d in self._interpreter.get_output_details()]

    def details(self) -> tuple[list[Any], list[Any]]:
        return self._interpreter.get_input_details(), self._interpreter.get_output_details()

    def set_input(self, index: int, value: Array) -> None:
        self._interpreter.set_tensor(self._in[index], value)

    def invoke(self) -> None:
        self._interpreter.invoke()

    def output(self, index: int) -> Array:
        return np.asarray(self._interpreter.get_tensor(self._out[index]))

    def tensor(self, index: int, subgraph: int) -> Array:
        return np.asarray(self._interpreter.get_tensor(index, subgraph))


Engine = TflmEngine | LitertEngine


class Worker:
    """Answers the commands of one parent."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._specs: list[tuple[tuple[int, ...], np.dtype[Any]]] = []

    def answer(self, request: Header, blobs: list[bytes]) -> _Reply:
        handlers = {"load": self._load, "run": self._run, "tensors": self._tensors}
        return handlers[request["cmd"]](request, blobs)

    def _load(self, request: Header, blobs: list[bytes]) -> _Reply:
        self._engine.load(blobs[0], request)
        inputs, outputs = self._engine.details()
        self._specs = [_spec(d) for d in inputs]
        described = [[_describe(_spec(d)) for d in side] for side in (inputs, outputs)]
        return {
            "version": self._engine.version,
            "inputs": described[0],
            "outputs": described[1],
        }, []

    def _run(self, request: Header, blobs: list[bytes]) -> _Reply:
        samples: int = request["samples"]
        stacked = [
            np.frombuffer(blob, dtype).reshape((samples, *shape))
            for blob, (shape, dtype) in zip(blobs, self._specs, strict=True)
        ]
        outputs: list[list[bytes]] = []
        shapes: list[Any] = []
        nanoseconds: list[int] = []
        for index in [0] * request["warmup"] + list(range(samples)):
            if request["fresh"]:
                self._engine.reset()
            for i, values in enumerate(stacked):
                self._engine.set_input(i, np.array(values[index]))
            started = time.perf_counter_ns()
            self._engine.invoke()
            nanoseconds.append(time.perf_counter_ns() - started)
            results = [self._engine.output(i) for i in range(request["outputs"])]
            shapes = [_describe((r.shape, r.dtype)) for r in results]
            outputs.append([r.tobytes() for r in results])
        kept = outputs[request["warmup"] :]
        joined = [b"".join(column) for column in zip(*kept, strict=True)]
        return {"outputs": shapes, "ns": nanoseconds[request["warmup"] :]}, list(joined)

    def _tensors(self, request: Header, blobs: list[bytes]) -> _Reply:
        arrays = [self._engine.tensor(i, request["subgraph"]) for i in request["indices"]]
        described = [_describe((a.shape, a.dtype)) for a in arrays]
        return {"tensors": described}, [a.tobytes() for a in arrays]


def _spec(detail: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return tuple(int(d) for d in detail["shape"]), np.dtype(detail["dtype"])


def _describe(spec: tuple[tuple[int, ...], np.dtype[Any]]) -> Header:
    return {"shape": list(spec[0]), "dtype": spec[1].name}


def _serve(worker: Worker, source: BinaryIO, sink: BinaryIO) -> None:
    def read_exactly(count: int) -> bytes:
        data = source.read(count)
        if len(data) != count:
            raise EOFError
        return data

    while True:
        try:
            request, blobs = decode(read_exactly)
        except EOFError:
            return  # the parent closed our input: the ordinary end
        try:
            reply, out = worker.answer(request, blobs)
        except Exception as error:  # whatever the interpreter raises is reported to the parent
            reply, out = {"error": f"{type(error).__name__}: {error}"}, []
        for piece in encode(reply, out):
            sink.write(piece)
        sink.flush()


def main(argv: list[str]) -> int:
    """Serve one parent until it closes our standard input."""
    # Native code may print on descriptor 1: move the protocol away and let that text join stderr.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine: Engine = TflmEngine() if argv[0] == "tflm" else LitertEngine()
    _serve(Worker(engine), sys.stdin.buffer, sink)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
