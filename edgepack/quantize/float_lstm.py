"""A fused float LSTM (UNIDIRECTIONAL_SEQUENCE_LSTM) step by step, for the range of its cell state.

The equations are those of the operator without peepholes, projection, coupled gates and layer
normalization: gates i, f, c, o of x and h; c' = f c + i tanh(c_gate); h' = o tanh(c').
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.types import Array


@dataclass(frozen=True)
class _Slots:
    """Inputs of the operator; weights and biases in the order input, forget, cell, output."""

    weights: tuple[int, ...] = (1, 2, 3, 4)
    recurrent: tuple[int, ...] = (5, 6, 7, 8)
    peephole: tuple[int, ...] = (9, 10, 11)
    bias: tuple[int, ...] = (12, 13, 14, 15)
    projection: tuple[int, ...] = (16, 17)
    hidden: int = 18
    cell: int = 19
    norm: tuple[int, ...] = (20, 21, 22, 23)


SLOTS = _Slots()


def check_plain(slots: Sequence[int], name: str) -> None:
    """Refuse the forms of LSTM that no integer kernel of ours or TFLM's has.

    Raises:
        UnsupportedError: it has peepholes, a projection, layer normalization or coupled gates.
    """
    extras = (
        (SLOTS.peephole, "peephole connections"),
        (SLOTS.projection, "a projection"),
        (SLOTS.norm, "layer normalization"),
    )
    for group, what in extras:
        if any(slot < len(slots) and slots[slot] >= 0 for slot in group):
            raise UnsupportedError(
                f"the LSTM {name!r} has {what}, which no integer kernel computes",
                next_step="keep it in float: a rule with this scope and the scheme float",
            )
    if slots[SLOTS.weights[0]] < 0:
        raise UnsupportedError(
            f"the LSTM {name!r} has coupled input and forget gates, which no integer kernel "
            "computes",
            next_step="keep it in float: a rule with this scope and the scheme float",
        )


def cell_states(
    operator: Any, x: Array, slots: Sequence[int], constants: Mapping[int, Array | None]
) -> Iterator[Array]:
    """The cell state [batches, units] after each step, from a state of zeros.

    Args:
        operator: the schema's operator.
        x: [batches, steps, inputs], or [steps, batches, inputs] if it is time-major.
        slots: the tensors it reads.
        constants: their values where they are constant.
    """
    options = operator.builtinOptions
    sequence = x if options.timeMajor else x.swapaxes(0, 1)

    def value(slot: int) -> Array:
        found = constants.get(slots[slot])
        return np.zeros(1, np.float32) if found is None else found

    w, r, b = ([value(s) for s in group] for group in (SLOTS.weights, SLOTS.recurrent, SLOTS.bias))
    units = r[0].shape[1]
    h = c = np.zeros((sequence.shape[1], units), np.float32)
    for step in sequence:
        i, f, g, o = (step @ w[k].T + h @ r[k].T + b[k] for k in range(4))
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        if options.cellClip > 0:
            c = np.clip(c, -options.cellClip, options.cellClip)
        h = _sigmoid(o) * np.tanh(c)
        yield c


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), np.float32)
