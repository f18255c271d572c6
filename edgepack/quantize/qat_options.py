"""How to fine-tune: `[quantize] qat` of edgepack.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class QatOptions:
    """How to train.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples per step.
        learning_rate: Adam's at the first step; it falls to zero along a half cosine.
        ranges: `learned` with the weights, `average`: a moving average of what is seen, fixed after
            half of the epochs, or `fixed` as calibrated.
        distill: share of the loss that compares with the teacher instead of the labels, 0 to 1.
        temperature: of the distillation.
        teacher: a float .tflite; None: the model itself before training.
        seed: of the order of samples.
        checkpoint_seconds: how often a checkpoint is written; one also follows each epoch.
        timeout_s: bounds the training, in seconds.
    """

    epochs: int = Field(default=2, ge=1, le=10_000)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0.0)
    ranges: Literal["learned", "average", "fixed"] = "learned"
    distill: float = Field(default=0.0, ge=0.0, le=1.0)
    temperature: float = Field(default=2.0, gt=0.0)
    teacher: str | None = None
    seed: int = Field(default=0, ge=0)
    checkpoint_seconds: float = Field(default=30.0, ge=0.0)
    timeout_s: float = Field(default=36_000.0, gt=0.0)
