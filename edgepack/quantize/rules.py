"""Which operator gets which scheme: ordered rules, the last one that matches counts.

As JSON:
    {"format": 1, "rules": [{"scheme": "int8"}, {"scope": "dense", "scheme": "int16x8"}]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgepack.errors import ConfigError
from edgepack.quantize.schemes import OpScheme, scheme_named

FORMAT = 1
ANY = "*"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        scope: a regular expression that is searched for in the name of the operator's first output
            tensor; empty matches all.
        op: TFLite's name of the operator, such as CONV_2D; * matches all.
        scheme: a name of `schemes.SCHEMES`.
    """

    scheme: str
    scope: str = ""
    op: str = ANY

    def matches(self, op: str, output: str) -> bool:
        """Whether the rule is about an operator."""
        return self.op in (ANY, op) and re.search(self.scope, output) is not None

    def __str__(self) -> str:
        return f"{self.op:<20} {self.scope or 'everywhere':<30} {self.scheme}"


@dataclass(frozen=True)
class Rules:
    """All rules in order."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        for rule in self.rules:
            scheme_named(rule.scheme, f"rule {rule.op} {rule.scope!r}".rstrip())
            try:
                re.compile(rule.scope)
            except re.error as error:
                raise ConfigError(
                    f"the scope {rule.scope!r} is no regular expression: {error}",
                    allowed="what Python's re module reads, such as dense_1/.*",
                ) from None

    def scheme_of(self, op: str, output: str) -> OpScheme:
        """The scheme of an operator: what the last rule that matches says.

        Raises:
            ConfigError: no rule matches.
        """
        for rule in reversed(self.rules):
            if rule.matches(op, output):
                return scheme_named(rule.scheme, "a rule")
        raise ConfigError(
            f"no rule covers {op} {output!r}",
            next_step='begin the recipe with a rule for everything: {"scheme": "int8"}',
        )

    def unused(self, operators: Sequence[tuple[str, str]]) -> tuple[Rule, ...]:
        """The rules that match none of these (op, output name)."""
        return tuple(r for r in self.rules if not any(r.matches(*o) for o in operators))

    def plus(self, *rules: Rule) -> Rules:
        """The same with more rules at the end."""
        return Rules((*self.rules, *rules))

    def as_dict(self) -> dict[str, Any]:
        """The rules as JSON stores them."""
        return {"format": FORMAT, "rules": [asdict(rule) for rule in self.rules]}

    def __str__(self) -> str:
        return "\n".join(map(str, self.rules))


def uniform(scheme: str) -> Rules:
    """One scheme for everything."""
    return Rules((Rule(scheme),))


# Recipes that have a name instead of a file.
PRESETS: dict[str, tuple[Rule, ...]] = {
    # What a recurrent layer carries from step to step loses most in 8 bits; its weights do not.
    "recurrent": tuple(
        Rule("int16x8", op=op) for op in ("ADD", "SUB", "MUL", "LOGISTIC", "TANH", "SPLIT")
    ),
}


def read_rules(path: Path) -> Rules:
    """Read a recipe file, or one of `PRESETS` by its name.

    Raises:
        ConfigError: it is missing, no JSON, or holds a key or scheme that is not allowed.
    """
    if str(path) in PRESETS or (path.name in PRESETS and not path.exists()):
        return Rules(PRESETS[path.name])
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"recipe {path} does not exist", allowed=f"a JSON file, or {', '.join(PRESETS)}"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"recipe {path} cannot be read: {error}") from error
    return rules_from(document, str(path))


def rules_from(document: Any, source: str) -> Rules:
    """Rules from what JSON or TOML held; `source` is what errors call it.

    Raises:
        ConfigError: as `read_rules`.
    """
    form = 'a list of {"scope": REGEX, "op": NAME, "scheme": NAME}'
    entries = document
    if isinstance(document, dict):
        if document.get("format", FORMAT) != FORMAT:
            raise ConfigError(
                f"{source} has format {document['format']!r}", allowed=f"format {FORMAT}"
            )
        entries = document.get("rules")
    if not isinstance(entries, list | tuple) or not entries:
        raise ConfigError(f"{source} holds no rules", allowed=form)
    rules = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
            raise ConfigError(f"{source}: rule {number} is {entry!r}", allowed=form)
        unknown = sorted(entry.keys() - {"scope", "op", "scheme"})
        if unknown or "scheme" not in entry:
            what = f"has the key {unknown[0]!r}" if unknown else "names no scheme"
            raise ConfigError(f"{source}: rule {number} {what}", allowed=form)
        rules.append(Rule(**entry))
    return Rules(tuple(rules))
