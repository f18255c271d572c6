"""Weights that training computes from other variables: sums of adapters, entries of a codebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Made:
    """A weight of a model, and the function that makes its value, float32 and of its shape."""

    weight: Any
    value: Callable[[], Any]


def forward_with(model: Any, made: Sequence[Made]) -> Callable[[Any], Any]:
    """The model as a function of its inputs, in training, with made weights in place of its own.

    Gradients flow into the variables that the values are made of. What the model tracks (running
    statistics, random seeds) is updated as in any training.
    """
    values = {id(entry.weight): entry.value for entry in made}

    def current(weight: Any) -> Any:
        return values[id(weight)]() if id(weight) in values else weight.value

    def forward(x: Any) -> Any:
        outputs, tracked = model.stateless_call(
            [current(weight) for weight in model.trainable_variables],
            [current(weight) for weight in model.non_trainable_variables],
            x,
            training=True,
        )
        for weight, value in zip(model.non_trainable_variables, tracked, strict=True):
            weight.assign(value)
        return outputs

    return forward


def settle(made: Sequence[Made]) -> None:
    """Write the values into the model's own weights, bit by bit what training computed with."""
    for entry in made:
        entry.weight.assign(entry.value())
