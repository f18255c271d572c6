"""How a step trains: the `finetune` table that every method has."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.models.dataset import Samples

Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FineTune:
    """How long and how fast to train; 0 epochs train nothing.

    `learning_rate` is Adam's at the first step; it falls to zero along a half cosine. `loss` is a
    Keras loss name; None chooses by the labels: sparse categorical cross-entropy for class indices,
    mean squared error for numbers. `precision` is that of the computation (`compress.precision`);
    weights are float32 always. `lora_rank` trains adapters of that rank in place of the weights
    (`compress.lora`); 0 trains the weights.
    """

    epochs: int = Field(default=4, ge=0, le=10_000)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    loss: str | None = None
    precision: Precision = "float32"
    lora_rank: int = Field(default=0, ge=0)


def steps_per_epoch(config: FineTune, samples: Samples) -> int:
    """Optimizer steps of one epoch; the last, smaller batch counts as one."""
    return -(-len(samples) // config.batch_size)
