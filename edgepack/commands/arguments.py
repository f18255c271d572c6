"""The options that every command has, wherever on the command line they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_QUIET = ("--quiet", "-q")
_VERBOSE = ("--verbose", "-v")
_JSON = "--json"
# `bench --json FILE` writes a file; elsewhere --json takes no value
_JSON_FILE_COMMANDS = ("bench",)


@dataclass(frozen=True)
class CommonOptions:
    """`as_json`: the result goes to standard output as one JSON document, nothing else does."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def hoist(argv: Sequence[str]) -> tuple[CommonOptions, list[str]]:
    """Take the common options out of a command line; everything after `--` is left alone.

    `--json` keeps its value, and stays, where it means a file: after `bench`, when the next word
    is neither an option nor a directory.
    """
    as_json = quiet = verbose = False
    rest: list[str] = []
    command = ""
    words = list(argv)
    for index, word in enumerate(words):
        if word == "--":
            rest += words[index:]
            break
        if word in _QUIET:
            quiet = True
        elif word in _VERBOSE:
            verbose = True
        elif word == _JSON and not (
            command in _JSON_FILE_COMMANDS and _is_file_name(words[index + 1 : index + 2])
        ):
            as_json = True
        else:
            if not command and not word.startswith("-"):
                command = word
            rest.append(word)
    return CommonOptions(as_json, quiet, verbose), rest


def _is_file_name(following: Sequence[str]) -> bool:
    return bool(following) and not following[0].startswith("-") and not Path(following[0]).is_dir()
