"""Rules: order, scopes, JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack.errors import ConfigError
from edgepack.quantize.rules import Rule, Rules, read_rules, rules_from, uniform


def test_the_last_rule_that_matches_counts() -> None:
    rules = Rules(
        (
            Rule("int8"),
            Rule("int16x8", scope="block_[12]/"),
            Rule("float", op="SOFTMAX"),
            Rule("int4", scope="block_2/conv$"),
        )
    )
    assert rules.scheme_of("CONV_2D", "stem").name == "int8"
    assert rules.scheme_of("CONV_2D", "net/block_1/conv").name == "int16x8"
    assert rules.scheme_of("SOFTMAX", "net/block_1/conv").name == "float"
    assert rules.scheme_of("CONV_2D", "block_2/conv").name == "int4"


def test_rules_survive_json(tmp_path: Path) -> None:
    rules = uniform("int8").plus(Rule("int8-per-tensor", op="FULLY_CONNECTED"))
    path = tmp_path / "r.json"
    path.write_text(json.dumps(rules.as_dict()))
    assert read_rules(path) == rules
    assert rules_from(rules.as_dict()["rules"], "a list") == rules


def test_rules_that_match_nothing_are_known() -> None:
    rules = uniform("int8").plus(Rule("float", scope="nowhere"))
    assert rules.unused([("CONV_2D", "here")]) == (rules.rules[1],)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "cannot be read"),
        ("[]", "no rules"),
        ('{"format": 9, "rules": [{"scheme": "int8"}]}', "format 9"),
        ('[{"scope": "a"}]', "names no scheme"),
        ('[{"scheme": "int8", "colour": "red"}]', "'colour'"),
        ('[{"scheme": "int7"}]', "'int7'"),
        ('[{"scheme": "int3"}]', "'int3'"),
        ('[{"scheme": "int8", "scope": "("}]', "regular expression"),
        ('[{"scheme": 8}]', "rule 0"),
    ],
)
def test_a_wrong_recipe_is_refused(text: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=part):
        read_rules(path)


def test_a_missing_recipe_and_a_gap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_rules(tmp_path / "absent.json")
    with pytest.raises(ConfigError, match="no rule covers"):
        Rules((Rule("int8", op="CONV_2D"),)).scheme_of("ADD", "x")
