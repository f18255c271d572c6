"""Which layer goes wrong first: every tensor of an inference, device against oracle.

One inference on the device yields the CRC-32 of every layer's outputs, so that no search is needed:
the first CRC in order of execution that differs names the layer, and only that tensor's bytes are
fetched. All layers before it were right, so its kernel (or what the compiler made of it) is to
blame.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from edgepack.bench.data import Samples
from edgepack.bench.interpreter import engine_child
from edgepack.bench.oracle import TFLM_MISSING, TflmModel, tflm_installed
from edgepack.bench.parity import compare_outputs
from edgepack.bench.session import Session
from edgepack.manifest import Manifest, TensorInfo
from edgepack.models.progress import Progress, silent
from edgepack.types import Array, DType

HOST_BUILD = "the same model built for this computer"

Key = tuple[int, int]  # layer, output of the layer
OpenSession = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True)
class Difference:
    """The first tensor that differs, and its first element that does.

    Attributes:
        index: flat within the tensor.
        elements, differing: of the tensor.
        against: whose values are the expected ones.
        repeated: the device gave the same bytes when it ran the sample again.
    """

    sample: int
    layer: int
    output: int
    op: str
    kernel: str
    tensor: TensorInfo
    index: int
    actual: int | float
    expected: int | float
    elements: int
    differing: int
    against: str
    repeated: bool

    @property
    def position(self) -> tuple[int, ...]:
        """The element's index in every dimension."""
        if not self.tensor.shape:
            return ()
        return tuple(int(i) for i in np.unravel_index(self.index, self.tensor.shape))


@dataclass(frozen=True)
class Findings:
    """What a search found.

    Attributes:
        samples: that were run.
        layers: of the model.
        compared: tensors with something to compare them with, per source.
        uncompared: names of tensors without.
        first: the first difference, or None.
    """

    samples: int
    layers: int
    compared: Mapping[str, int]
    uncompared: tuple[str, ...]
    first: Difference | None


class Reference:
    """Expected layer outputs: TFLM's tensors, and a host build for those that TFLM has not.

    A rewrite that removes channels leaves tensors of other shapes than those of the model's file.
    Use `open_reference`.

    Args:
        oracle: the loaded model, or None where TFLM is not installed.
        host: opens a session with the same project built for this computer, or None.
    """

    def __init__(
        self,
        manifest: Manifest,
        samples: Samples,
        oracle: TflmModel | None,
        host: OpenSession | None,
        stack: ExitStack,
    ) -> None:
        self._manifest, self._samples = manifest, samples
        self._oracle, self._host, self._stack = oracle, host, stack
        self._names = {} if oracle is None else oracle.facts.subgraphs[0].names
        self._session: Session | None = None

    def tensors(self, sample: int) -> dict[Key, tuple[Array, str]]:
        """What TFLM computes for the next sample, by layer and output; call for 0, 1, ..."""
        if self._oracle is None:
            return {}
        self._oracle.run([a[sample : sample + 1] for a in self._samples.inputs])
        computed = self._oracle.tensors()
        found: dict[Key, tuple[Array, str]] = {}
        for layer in self._manifest.model.layers:
            for output, info in enumerate(layer.outputs):
                array = computed.get(self._names.get(info.name, -1))
                if array is not None and _fits(array, info):
                    found[layer.index, output] = (array, f"tflite-micro {self._oracle.version}")
        return found

    def from_host(self, sample: int, key: Key, info: TensorInfo) -> tuple[Array, str] | None:
        """The same from a build for this computer; None where there is none."""
        if self._host is None:
            return None
        if self._session is None:
            self._session = self._stack.enter_context(self._host())
        data = dump(self._session, self._manifest, self._samples, sample, key)
        return np.frombuffer(data, DType(info.dtype).numpy), HOST_BUILD


@contextmanager
def open_reference(
    manifest: Manifest, model: bytes, samples: Samples, host: OpenSession | None
) -> Iterator[Reference]:
    """The reference for some samples; its processes end with the block."""
    with ExitStack() as stack:
        oracle: TflmModel | None = None
        if tflm_installed():
            child = stack.enter_context(engine_child("tflm"))
            oracle = TflmModel(child, model, preserve=True)
        yield Reference(manifest, samples, oracle, host, stack)


def find_first_difference(
    session: Session,
    manifest: Manifest,
    samples: Samples,
    reference: Reference,
    progress: Progress = silent,
) -> Findings:
    """Run samples until a layer differs.

    Args:
        session: a device that runs the project's image.
        samples: what to run; the first sample with a difference ends the search.
        reference: what the tensors should be.

    Raises:
        DeviceError: the runtime on the device cannot report layers.
        EdgepackError: whatever stops the device or the oracle.
    """
    layers = manifest.model.layers
    compared: dict[str, int] = {}
    uncompared: set[str] = set()
    first: Difference | None = None
    runs = 0
    session.start()
    for sample in range(samples.count):
        progress("bisect", sample / samples.count, f"sample {sample + 1} of {samples.count}")
        records = session.layer_digests(samples.payload(sample))
        expected = reference.tensors(sample)
        runs += 1
        for record in records:
            key = (record.layer, record.output)
            info = layers[record.layer].outputs[record.output]
            want = expected.get(key) or reference.from_host(sample, key, info)
            if want is None:
                uncompared.add(info.name)
                continue
            compared[want[1]] = compared.get(want[1], 0) + 1
            if zlib.crc32(np.ascontiguousarray(want[0]).tobytes()) == record.crc:
                continue
            data = dump(session, manifest, samples, sample, key)
            repeated = zlib.crc32(data) == record.crc
            first = _difference(manifest, sample, key, data, want, repeated)
            if first is not None:
                return Findings(runs, len(layers), compared, tuple(sorted(uncompared)), first)
    return Findings(runs, len(layers), compared, tuple(sorted(uncompared)), None)


def dump(session: Session, manifest: Manifest, samples: Samples, sample: int, key: Key) -> bytes:
    """One layer output of one sample; a model that keeps state is led up to the sample again."""
    if manifest.model.stateful:
        session.start()
        for earlier in range(sample):
            session.infer(samples.payload(earlier))
    return session.read_layer(samples.payload(sample), *key)


def missing_reference(findings: Findings) -> str | None:
    """Why some tensors could not be compared, or None."""
    if not findings.uncompared:
        return None
    reason = "" if tflm_installed() else f" ({TFLM_MISSING})"
    return f"{len(findings.uncompared)} tensors have nothing to be compared with{reason}"


def _difference(
    manifest: Manifest,
    sample: int,
    key: Key,
    data: bytes,
    want: tuple[Array, str],
    repeated: bool,
) -> Difference | None:
    """The first element out of what is allowed; None when floats are close enough."""
    layer = manifest.model.layers[key[0]]
    info = layer.outputs[key[1]]
    expected = want[0].reshape(1, -1)
    actual = np.frombuffer(data, DType(info.dtype).numpy).reshape(1, -1)
    parity = compare_outputs([actual], [expected])
    if parity.first_mismatch is None:
        return None
    first = parity.first_mismatch
    return Difference(
        sample=sample,
        layer=layer.index,
        output=key[1],
        op=layer.op,
        kernel=layer.kernel,
        tensor=info,
        index=first.index,
        actual=first.actual,
        expected=first.expected,
        elements=expected.size,
        differing=int(np.count_nonzero(actual != expected)),
        against=want[1],
        repeated=repeated,
    )


def _fits(array: Array, info: TensorInfo) -> bool:
    return array.nbytes == info.bytes and array.dtype == DType(info.dtype).numpy
