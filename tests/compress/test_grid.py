"""Grids of recipes, and the front of what they make."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.compress import low_rank, prune_structured
from edgepack.compress.front import front
from edgepack.compress.grid import MOST_POINTS, Recipe, as_toml, points
from edgepack.compress.options import FineTune
from edgepack.config import load_config
from edgepack.errors import ConfigError
from edgepack.pipeline.compress import checked_steps, parse_step, read_steps, read_tables

RECIPE = """
[model]
source = "net.keras"
[data]
source = "d.npz"
[build]
target = "netduinoplus2"
[[compress]]
method = "prune_structured"
ratio = 0.5
[compress.sweep]
use = [true, false]
ratio = [0.3, 0.6]
[[compress]]
method = "low_rank"
energy = 0.9
finetune.epochs = 1
[compress.sweep]
finetune.epochs = [2, 3]
"""


def test_all_combinations_once_those_with_equal_first_steps_together(tmp_path: Path) -> None:
    path = tmp_path / "edgepack.toml"
    path.write_text(RECIPE)
    found = points([Recipe(tuple(read_tables(path)), "here")])
    recipes = [checked_steps(point.steps, "here") for point in found]
    last = [low_rank.Config(energy=0.9, finetune=FineTune(epochs=n)) for n in (2, 3)]
    assert recipes == [
        (prune_structured.Config(ratio=0.3), last[0]),
        (prune_structured.Config(ratio=0.3), last[1]),
        (prune_structured.Config(ratio=0.6), last[0]),
        (prune_structured.Config(ratio=0.6), last[1]),
        (last[0],),
        (last[1],),
    ]
    # the step that is left out has no ratio
    assert dict(found[4].varied) == {
        "1.prune_structured.use": False,
        "2.low_rank.finetune.epochs": 2,
    }


def test_a_recipe_with_a_sweep_is_still_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "edgepack.toml"
    path.write_text(RECIPE)
    once = (
        prune_structured.Config(ratio=0.5),
        low_rank.Config(energy=0.9, finetune=FineTune(epochs=1)),
    )
    assert read_steps(path) == once
    assert load_config(path).compress == once


def test_values_to_try_on_the_command_line() -> None:
    table = parse_step("prune_structured:ratio=0.3|0.6,of=macs|channels,finetune.epochs=2")
    found = [point.steps[0] for point in points([Recipe((table,), "--method")])]
    rest = {"method": "prune_structured", "finetune": {"epochs": 2}}
    assert found == [
        {**rest, "ratio": ratio, "of": of} for ratio in (0.3, 0.6) for of in ("macs", "channels")
    ]
    with pytest.raises(ConfigError, match="several values to try") as caught:
        checked_steps([table], "--method")
    assert "--sweep" in str(caught.value)


def test_several_recipes_are_points_of_one_table() -> None:
    cut = {"method": "prune_structured", "sweep": {"ratio": [0.3, 0.6]}}
    taught = {"method": "distill", "width": 0.5}
    recipes = [Recipe((cut,), "cut"), Recipe((taught,), "taught"), Recipe((taught,), "again")]
    found = points(recipes)
    assert [dict(point.varied) for point in found] == [
        {"recipe": "cut", "1.prune_structured.ratio": 0.3},
        {"recipe": "cut", "1.prune_structured.ratio": 0.6},
        {"recipe": "taught"},
    ]
    assert found[2].steps == (taught,)
    with pytest.raises(ConfigError, match=r"empty: there is no \[\[compress\]\] table"):
        points([*recipes, Recipe((), "empty")])


def test_a_recipe_is_written_as_it_is_read() -> None:
    step = parse_step('low_rank:energy=0.9,skip=["a/*"],finetune.epochs=2,finetune.loss=mse')
    other = {"method": "cluster", "layer_bits": {"conv*/kernel": 4}, "finetune": {"epochs": 0}}
    assert tomllib.loads(as_toml([step, other]))["compress"] == [step, other]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"method": "cluster", "bits": 4}, "no key has several values"),
        ({"method": "cluster", "sweep": {"bits": 4}}, "sweep.bits = 4"),
        ({"method": "cluster", "sweep": {"bits": []}}, "sweep.bits"),
        ({"method": "cluster", "sweep": [1, 2]}, "is no table"),
        ({"method": "cluster", "sweep": {"use": [1, 0]}}, "sweep.use"),
        ({"method": "cluster", "sweep": {"seed": list(range(MOST_POINTS + 1))}}, "points"),
    ],
)
def test_a_wrong_grid_is_named(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        points([Recipe((table,), "here")])
    assert said in str(caught.value)


def test_the_front_by_hand() -> None:
    accuracy = [0.9, 0.8, 0.9, 0.7, 0.8]
    flash = [[10.0], [5.0], [12.0], [6.0], [5.0]]
    # 2 costs more than 0 for the same, 3 is worse than 1 in both, 4 equals 1
    assert front(accuracy, flash) == (1, 0)
    # a second cost in which 2 and 3 are best brings them back
    both = [[10.0, 4.0], [5.0, 4.0], [12.0, 3.0], [6.0, 1.0], [5.0, 4.0]]
    assert front(accuracy, both) == (1, 3, 0, 2)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12
    )
)
def test_every_point_is_on_the_front_or_beaten_by_one_that_is(
    drawn: list[tuple[int, int, int]],
) -> None:
    best = front([float(a) for a, _, _ in drawn], [(float(b), float(c)) for _, b, c in drawn])

    def at_least(one: int, other: int) -> bool:
        (a, b, c), (d, e, f) = drawn[one], drawn[other]
        return a >= d and b <= e and c <= f

    assert best
    for index in range(len(drawn)):
        holders = [other for other in best if at_least(other, index)]
        assert holders == [index] if index in best else holders
