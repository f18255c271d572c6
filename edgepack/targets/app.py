"""The record of a kind of app: targets/apps/<id>.toml. It says which packages and systems it needs.

An app is no board: nothing is compiled or flashed here. What is generated is a module that the
app's own build takes in.
"""

from __future__ import annotations

from pydantic import Field

from edgepack.targets.record import Identifier, Record, Source, Verified


class Version(Record):
    """A package that the generated module asks for."""

    version: str
    source: Source


class Fact(Record):
    """A number or word that the generated module states."""

    value: int | str
    source: Source


class AppTarget(Record):
    """A kind of app that a model can be packed for.

    versions: the packages by a short name. facts: system versions and the like.
    """

    id: Identifier
    name: str
    language: str
    runtime: str
    verified: Verified
    verified_how: str
    versions: dict[str, Version]
    facts: dict[str, Fact] = Field(default_factory=dict)
    notes: str = ""
