"""What a network takes on the target: measured there, and modelled for networks like it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edgepack.compress.channels import DEPTHWISE, MAKERS, Channels, kept, nodes
from edgepack.compress.cost import cost, step_macs

Figure = Literal["instructions", "flash", "ram"]
FIGURES: tuple[Figure, ...] = get_args(Figure)


@dataclass(frozen=True)
class Measured:
    """A network as int8 on a target, built and run there.

    instructions: of one inference, counted by the emulator; flash: bytes of the image; ram: static
    memory, arena and stack; arena: bytes of that. layers: of each layer that the device runs, in
    order, multiply-accumulates (before weights are left out) and instructions.
    """

    instructions: float
    flash: int
    ram: int
    arena: int
    layers: tuple[tuple[int, float], ...]

    def of(self, figure: Figure) -> float:
        """One of `FIGURES`."""
        return {"instructions": self.instructions, "flash": self.flash, "ram": self.ram}[figure]

    def as_dict(self) -> dict[Figure, float]:
        """What a budget may be of."""
        return {figure: self.of(figure) for figure in FIGURES}


# (a Keras model, the target's id) -> its figures; it builds and runs, which takes seconds
Meter = Callable[[Any, str], Measured]


class DeviceModel:
    """What a network takes without some units, from what the whole one was measured to take.

    Instructions: each layer's multiply-accumulates at the layer's own measured rate; the rest in
    proportion to the elements that the layers make. Flash: a byte per weight. RAM: the arena in
    proportion to the largest sum of tensors that are needed at one time, normalization and
    activations in place. None of these is exact: `corrected` makes them so for one network.
    """

    def __init__(self, model: Any, found: Channels, measured: Measured) -> None:
        self._found, self._measured = found, measured
        self._last = _last_uses(model)
        whole = step_macs(found, frozenset())
        self._rates, weighted = _rates(whole, measured)
        self._rest = measured.instructions - weighted
        self._elements = self._made(frozenset())
        self._parameters = cost(found).parameters
        self._peak = self._largest(frozenset())
        self._factors: dict[Figure, float] = dict.fromkeys(FIGURES, 1.0)

    def figures(self, gone: Iterable[int]) -> dict[Figure, float]:
        """The figures without units."""
        lost = frozenset(gone)
        macs = step_macs(self._found, lost)
        computed = sum(rate * count for rate, count in zip(self._rates, macs, strict=True))
        rest = self._rest * self._made(lost) / self._elements
        saved = self._parameters - cost(self._found, lost).parameters
        arena = self._measured.arena * self._largest(lost) / self._peak
        plain: dict[Figure, float] = {
            "instructions": computed + rest,
            "flash": self._measured.flash - saved,
            "ram": self._measured.ram - self._measured.arena + arena,
        }
        return {figure: self._factors[figure] * value for figure, value in plain.items()}

    def corrected(self, gone: Iterable[int], real: Measured) -> None:
        """From now on be right for the network without these units."""
        for figure, value in self.figures(gone).items():
            self._factors[figure] *= real.of(figure) / value

    def _made(self, lost: frozenset[int]) -> int:
        return sum(
            max(step.positions, 1) * len(kept(self._found, step.output, lost))
            for step in self._found.steps
        )

    def _largest(self, lost: frozenset[int]) -> int:
        """The most elements that are needed at one time."""
        live: dict[int, int] = {}
        most = 1
        for index, step in enumerate(self._found.steps):
            kind = type(step.layer).__name__
            # what computes in place gives its memory on; others need theirs beside their inputs
            if kind in MAKERS or kind in DEPTHWISE or "Pooling" in kind or kind == "Concatenate":
                live[index] = max(step.positions, 1) * len(kept(self._found, step.output, lost))
            most = max(most, sum(live.values()))
            live = {made: size for made, size in live.items() if self._last[made] > index}
        return most


def _rates(macs: list[int], measured: Measured) -> tuple[list[float], float]:
    """Instructions per multiply-accumulate of every step, and what they come to in all.

    The device's layers are told apart by their multiply-accumulates; where these do not match (the
    compiler rewrote the network), all steps have the mean rate.
    """
    counted = [(count, spent) for count, spent in measured.layers if count]
    steps = [count for count in macs if count]
    spent = sum(instructions for _, instructions in counted)
    if sorted(count for count, _ in counted) != sorted(steps):
        mean = spent / max(sum(steps), 1)
        return [mean if count else 0.0 for count in macs], spent
    by_macs: dict[int, list[float]] = {}
    for count, instructions in counted:
        by_macs.setdefault(count, []).append(instructions)
    means = {count: sum(values) / len(values) for count, values in by_macs.items()}
    return [means[count] / count if count else 0.0 for count in macs], spent


def _last_uses(model: Any) -> Mapping[int, int]:
    """For every step the last one that needs the memory it made; its own where none does."""
    memory: dict[int, int] = {}  # of a tensor: the step that made it
    last: dict[int, int] = {}
    for index, node in enumerate(nodes(model)):
        kind = type(node.operation).__name__
        sources = [memory[id(t)] for t in node.input_tensors if id(t) in memory]
        for source in sources:
            last[source] = index
        own = kind in MAKERS or kind in DEPTHWISE or "Pooling" in kind or kind == "Concatenate"
        for tensor in node.output_tensors:
            memory[id(tensor)] = index if own or not sources else sources[0]
        last[index] = index
    return last
