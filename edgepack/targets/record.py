"""What every target record shares: strict keys, cited facts, sizes and addresses."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# A manual with its section, or the source file of an emulator: long enough to be looked up.
Source = Annotated[str, StringConstraints(min_length=8, strip_whitespace=True)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
ByteCount = Annotated[int, Field(gt=0)]
Hertz = Annotated[int, Field(gt=0)]


class Record(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Verified(StrEnum):
    """How far a board record has been tried; each level includes those before it."""

    NONE = "none"
    COMPILED = "compiled"
    EMULATED = "emulated"
    HARDWARE = "hardware"


class Kind(StrEnum):
    """What runs the image."""

    HARDWARE = "hardware"
    EMULATED = "emulated"
    HOST = "host"
    PHONE = "phone"
