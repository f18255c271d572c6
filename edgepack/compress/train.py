"""Training alone: the step between others, and what another method is compared with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, Outcome
from edgepack.compress.finetune import recover
from edgepack.compress.options import FineTune

NAME = "finetune"
DEVICE_SAVING = "none: the network has the size that it had."


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "finetune"`."""

    method: Literal["finetune"] = "finetune"
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Train a Keras model in place.

    Raises:
        DataError: there are no data, or none with labels that fit.
    """
    recover(model, config.finetune, context, NAME, config.seed)
    return Outcome(model, (), DEVICE_SAVING)
