"""What the user asks of the quantizer: the `[quantize]` table of edgepack.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Scheme = Literal["int8"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class QuantizeRecipe:
    """How to quantize.

    `scheme`: `int8` is full-integer: int8 activations (per tensor, asymmetric), int8 weights (per
    output channel, symmetric), int32 biases, int8 inputs and outputs. `calibration_samples` of the
    training split (all, if it has fewer), drawn with `seed`, set the activation ranges.
    `timeout_s` bounds the conversion, in seconds.
    """

    scheme: Scheme = "int8"
    calibration_samples: int = Field(default=200, ge=1)
    seed: int = Field(default=0, ge=0)
    timeout_s: float = Field(default=600.0, gt=0.0)
