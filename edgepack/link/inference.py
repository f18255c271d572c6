"""What an inference is asked for, and what it yields."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.link.frames import INFER_DUMP, INFER_LAYERS
from edgepack.link.messages import LayerRecord, TimesRecord


@dataclass(frozen=True)
class Wanted:
    """What one inference is to yield besides its outputs.

    Attributes:
        layers: one record per layer output, with ticks and CRC.
        dump: (layer, output) whose bytes are wanted, or None.
        repeat: further inferences for their time only. They find their input used up, so their data
            is arbitrary: use them only where the time does not depend on it.
    """

    layers: bool = False
    dump: tuple[int, int] | None = None
    repeat: int = 0

    @property
    def flags(self) -> int:
        """As the INFER request carries them."""
        return (INFER_LAYERS if self.layers else 0) | (INFER_DUMP if self.dump else 0)


@dataclass(frozen=True)
class Outcome:
    """What an inference yielded; every byte of it CRC-checked.

    Attributes:
        outputs: all output tensors, concatenated.
        ticks: of the device's counter, its overhead included.
        layers: in order of execution.
        dumped: bytes of the layer asked for.
        times: of the further inferences.
    """

    outputs: bytes
    ticks: int
    layers: tuple[LayerRecord, ...] = ()
    dumped: bytes | None = None
    times: TimesRecord | None = None
