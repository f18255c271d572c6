"""The blocks of a network, and the network without some of them: a depth multiplier.

A cut is a place that a single tensor crosses. Between two cuts lies a segment; a residual
connection lies inside one, whole. A segment with a dense, convolution or depthwise layer begins a
block, and so does one that changes the shape otherwise (pooling, flattening); those behind it that
do neither (normalization, activation, dropout) belong to it. A block that begins with depthwise
layers alone goes on through the next weights: the halves of a separable convolution stay together.
A block with weights can be left out if what goes in has the shape of what comes out. Blocks that
follow each other and can be left out are a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgepack.compress.channels import DEPTHWISE, MAKERS, functional, nodes
from edgepack.errors import ConfigError


@dataclass(frozen=True)
class Block:
    """The names of a block's layers and operations, in order, and whether it can be left out."""

    names: tuple[str, ...]
    spare: bool


@dataclass(frozen=True, eq=False)
class _Segment:
    nodes: tuple[Any, ...]
    before: tuple[int | None, ...]
    after: tuple[int | None, ...]

    @property
    def kinds(self) -> set[str]:
        return {type(node.operation).__name__ for node in self.nodes}

    @property
    def weighted(self) -> bool:
        return bool(self.kinds & (MAKERS.keys() | DEPTHWISE))

    @property
    def keeps_shape(self) -> bool:
        return self.before == self.after


def blocks(model: Any) -> list[Block]:
    """The blocks of a Keras model, in order."""
    found: list[list[_Segment]] = []
    for segment in _segments(model):
        goes_on = _half(found[-1]) if segment.weighted and found else segment.keeps_shape
        if found and goes_on:
            found[-1].append(segment)
        else:
            found.append([segment])
    uses: dict[int, int] = {}
    for node in nodes(model):
        uses[id(node.operation)] = uses.get(id(node.operation), 0) + 1
    result = []
    for parts in found:
        inside = [node.operation for part in parts for node in part.nodes]
        shape = parts[0].before == parts[-1].after
        # a layer that is used elsewhere too cannot be passed by in one place
        spare = (
            parts[0].weighted and shape and all(uses[id(operation)] == 1 for operation in inside)
        )
        result.append(Block(tuple(operation.name for operation in inside), spare))
    if result:  # what gives the output stays
        result[-1] = Block(result[-1].names, False)
    return result


def shallower(model: Any, depth: float) -> Any:
    """The same network with a share of the blocks of each run, the first ones, untrained.

    Args:
        model: a Keras model.
        depth: the share that stays, rounded half up.

    Raises:
        ConfigError: no block would go.
    """
    import keras

    found = blocks(model)
    gone: set[str] = set()
    run: list[Block] = []
    for block in [*found, Block((), False)]:
        if block.spare:
            run.append(block)
            continue
        for spare in run[int(depth * len(run) + 0.5) :]:
            gone.update(spare.names)
        run = []
    if not gone:
        spare_blocks = sum(block.spare for block in found)
        raise ConfigError(
            f"depth = {depth} leaves out none of the network's {len(found)} blocks",
            allowed=f"less, or `width`: {spare_blocks} blocks have outputs of their inputs' shape",
        )

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if operation.name not in gone:
            return operation(*args, **kwargs)
        # inside a block that is left out everything is the block's input
        value = args[0]
        return value[0] if isinstance(value, list | tuple) else value

    return keras.models.clone_model(functional(model), call_function=call)


def _half(block: list[_Segment]) -> bool:
    """Whether a block so far is the depthwise half of a separable convolution."""
    kinds: set[str] = set().union(*(segment.kinds for segment in block))
    return bool(kinds & DEPTHWISE) and not kinds & MAKERS.keys()


def _segments(model: Any) -> list[_Segment]:
    """The network between its cuts."""
    whole = functional(model)
    order = nodes(whole)
    last: dict[int, int] = {id(tensor): len(order) for tensor in whole.outputs}
    for index, node in enumerate(order):
        for tensor in node.input_tensors:
            last[id(tensor)] = max(last.get(id(tensor), 0), index)
    alive = {id(tensor) for tensor in whole.inputs}
    segments, start = [], 0
    before = tuple(whole.inputs[0].shape) if len(whole.inputs) == 1 else ()
    for index, node in enumerate(order):
        alive |= {id(tensor) for tensor in node.output_tensors}
        alive = {tensor for tensor in alive if last.get(tensor, -1) > index}
        crossing = [tensor for tensor in node.output_tensors if id(tensor) in alive]
        if len(alive) == 1 and len(crossing) == 1:
            after = tuple(crossing[0].shape)
            segments.append(_Segment(tuple(order[start : index + 1]), before, after))
            start, before = index + 1, after
    return segments
