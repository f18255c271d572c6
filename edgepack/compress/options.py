"""How a step trains: the `finetune` table that every method has."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.models.dataset import Samples

Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Augment:
    """How samples are changed each time they are seen.

    `flip` mirrors half of the images left to right, `shift` moves them by up to that many pixels
    each way (the border is repeated), `noise` adds normal noise of that deviation, in the units of
    the input.
    """

    flip: bool = False
    shift: int = Field(default=0, ge=0, le=64)
    noise: float = Field(default=0.0, ge=0.0)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Teacher:
    """A network whose outputs are learned besides the labels.

    `model` is a file, or "original": the network before the first step. `temperature` softens both
    outputs; `alpha` weighs their divergence (times the squared temperature) against the loss of
    the labels.
    """

    model: str = "original"
    temperature: float = Field(default=4.0, gt=0.0)
    alpha: float = Field(default=0.9, ge=0.0, le=1.0)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FineTune:
    """How long and how fast to train; 0 epochs train nothing.

    `learning_rate` is Adam's at the first step; it falls to zero along a half cosine. `loss` is a
    Keras loss name; None chooses by the labels: sparse categorical cross-entropy for class indices,
    mean squared error for numbers. `precision` is that of the computation (`compress.precision`);
    weights are float32 always. `lora_rank` trains adapters of that rank in place of the weights
    (`compress.lora`); 0 trains the weights. `augment` changes the samples, `teacher` is learned
    from besides the labels.
    """

    epochs: int = Field(default=4, ge=0, le=10_000)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    loss: str | None = None
    precision: Precision = "float32"
    lora_rank: int = Field(default=0, ge=0)
    augment: Augment | None = None
    teacher: Teacher | None = None


def steps_per_epoch(config: FineTune, samples: Samples) -> int:
    """Optimizer steps of one epoch; the last, smaller batch counts as one."""
    return -(-len(samples) // config.batch_size)
