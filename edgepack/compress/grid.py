"""A grid of recipes: steps some of whose keys have several values, and all combinations of them."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.errors import ConfigError

SWEEP = "sweep"  # the table of a [[compress]] table that holds the alternatives
USE = "use"  # its key that says whether the step is there at all
RECIPE = "recipe"  # in `varied` of a point of one of several recipes: where that comes from
MOST_POINTS = 500


@dataclass(frozen=True)
class Point:
    """One combination: the values that vary, by `number.method.key`, and the steps as tables."""

    varied: tuple[tuple[str, Any], ...]
    steps: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Recipe:
    """`[[compress]]` tables, and where they come from.

    A step's `sweep` table holds a list of values by key, dotted for a key of an inner table, and
    `use = [true, false]` for a step that may be left out.
    """

    tables: tuple[Mapping[str, Any], ...]
    origin: str


def points(recipes: Sequence[Recipe]) -> tuple[Point, ...]:
    """Every combination, those that share their first steps one after the other.

    Args:
        recipes: one with alternatives, or several, each a point or a grid of its own; `varied` says
            which one a point is of.

    Raises:
        ConfigError: nothing varies, a key has no list of values, or there are too many points.
    """
    for recipe in recipes:
        if not recipe.tables:
            raise ConfigError(
                f"{recipe.origin}: there is no [[compress]] table", allowed="at least one"
            )
    grids = [(recipe, _axes(recipe)) for recipe in recipes]
    origins = ", ".join(recipe.origin for recipe in recipes)
    if len(recipes) == 1 and not grids[0][1]:
        raise ConfigError(
            f"{origins}: no key has several values to try",
            allowed="--method prune_structured:ratio=0.3|0.5, a table [compress.sweep] with "
            "ratio = [0.3, 0.5] below the step's [[compress]], or several times --recipe",
        )
    count = sum(math.prod(len(axis) for axis in axes) for _, axes in grids)
    if count > MOST_POINTS:
        raise ConfigError(
            f"{origins}: the grid has {count:,} points", allowed=f"at most {MOST_POINTS}"
        )
    return _unique(
        _point(recipe, chosen, named=len(recipes) > 1)
        for recipe, axes in grids
        for chosen in itertools.product(*axes)
    )


def without_sweep(tables: Iterable[Any]) -> list[Any]:
    """The tables as one recipe: without their alternatives."""
    return [
        {key: value for key, value in table.items() if key != SWEEP}
        if isinstance(table, Mapping)
        else table
        for table in tables
    ]


def as_toml(steps: Iterable[Mapping[str, Any]]) -> str:
    """Steps as `[[compress]]` tables."""
    tables = []
    for step in steps:
        lines = [f"{_key(key)} = {_written(value)}" for key, value in step.items()]
        tables.append("\n".join(["[[compress]]", *lines]) + "\n")
    return "\n".join(tables)


def _axes(recipe: Recipe) -> list[list[tuple[int, str, Any]]]:
    """What varies: for every such key its step, its name and each value."""
    return [
        [(index, key, value) for value in values]
        for index, table in enumerate(recipe.tables)
        for key, values in _alternatives(table, index, recipe.origin)
    ]


def _alternatives(
    table: Mapping[str, Any], index: int, origin: str
) -> Iterable[tuple[str, list[Any]]]:
    where = f"{origin}: step {index}: {SWEEP}"
    if not isinstance(table.get(SWEEP, {}), Mapping):
        raise ConfigError(f"{where} is no table", allowed="lists of values by key")
    for key, values in _flat(table.get(SWEEP, {})):
        if not isinstance(values, list) or not values:
            raise ConfigError(
                f"{where}.{key} = {values!r} is not allowed",
                allowed="a list of the values to try, such as [0.3, 0.5]",
            )
        if key == USE and not all(isinstance(value, bool) for value in values):
            raise ConfigError(f"{where}.{key} = {values!r} is not allowed", allowed="[true, false]")
        yield key, values


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Keys of inner tables with a dot."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _point(recipe: Recipe, chosen: Sequence[tuple[int, str, Any]], *, named: bool) -> Point:
    steps: list[dict[str, Any] | None] = copy.deepcopy(without_sweep(recipe.tables))
    for index, key, value in chosen:
        if key == USE:
            if not value:
                steps[index] = None
            continue
        here = steps[index]
        if here is None:
            continue
        *parents, last = key.split(".")
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = copy.deepcopy(value)
    varied = tuple(
        (f"{index + 1}.{recipe.tables[index].get('method')}.{key}", value)
        for index, key, value in chosen
        # of a step that is left out only that counts
        if steps[index] is not None or key == USE
    )
    if named:
        varied = ((RECIPE, recipe.origin), *varied)
    return Point(varied, tuple(step for step in steps if step is not None))


def _unique(found: Iterable[Point]) -> tuple[Point, ...]:
    """Without those whose steps an earlier one has; steps that are left out make such."""
    result: dict[str, Point] = {}
    for point in found:
        result.setdefault(json.dumps(point.steps, sort_keys=True), point)
    return tuple(result.values())


def _written(value: Any) -> str:
    """A value as TOML; its strings, numbers and truths are written as JSON's are."""
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {_written(inner)}" for key, inner in value.items()]
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(inner) for inner in value) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key)
