"""Names and literals: whatever comes in, what comes out is one harmless token."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.emit import app_text
from edgepack.emit.app import app_tensor, tensor_title
from edgepack.types import DType

ANY = st.text(st.characters(exclude_categories=[]), max_size=40)
_ESCAPE = re.compile(r"\\u\{([0-9A-F]+)\}|\\u([0-9A-F]{4})|\\(.)", re.DOTALL)


def decode(literal: str) -> str:
    """What a compiler makes of a literal; fails where it would end early or interpolate."""
    quote, inner = literal[0], literal[1:-1]
    assert literal[-1] == quote
    bare = _ESCAPE.sub("", inner)
    assert quote not in bare and "\\" not in bare and bare.isascii() and bare.isprintable()
    simple = {"n": "\n", "r": "\r", "t": "\t"}

    def character(match: re.Match[str]) -> str:
        long, short, single = match.groups()
        if single is not None:
            assert single in "nrt\\\"'$"
            return simple.get(single, single)
        return chr(int(long or short, 16))

    text = _ESCAPE.sub(character, inner)
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


@given(ANY)
def test_literals_read_back_and_interpolate_nothing(text: str) -> None:
    clean = app_text.clean(text)
    for quoted, dollar in (
        (app_text.kotlin(text), True),
        (app_text.swift(text), False),
        (app_text.dart(text), True),
    ):
        assert decode(quoted) == clean
        if dollar:
            assert not re.search(r"(?<!\\)(?:\\\\)*\$", quoted)
        else:
            assert not re.search(r"(?<!\\)(?:\\\\)*\\\(", quoted)
    assert json.loads(app_text.yaml(text)) == clean


@given(ANY)
def test_ruby_strings_comments_and_markdown_stay_on_their_line(text: str) -> None:
    ruby = app_text.ruby(text)
    assert ruby.isascii() and ruby.isprintable()
    assert not re.search(r"(?<!\\)(?:\\\\)*'", ruby[1:-1])
    comment = app_text.comment(text)
    assert comment.isascii() and (comment.isprintable() or not comment)
    assert "*/" not in comment and "/*" not in comment
    assert not re.search(r"[\n\r\u2028\u2029]", app_text.markdown(text))
    assert not re.search(r"(?<!\\)(?:\\\\)*[<`\[]", app_text.markdown(text))


@given(ANY)
def test_identifiers_are_plain_words_that_no_language_keeps(text: str) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", app_text.pascal(text, "Model"))
    camel = app_text.camel(text, "input")
    assert re.fullmatch(r"[a-z][A-Za-z0-9]*", camel) and camel not in app_text.RESERVED
    snake = app_text.snake(text, "model")
    assert re.fullmatch(r"[a-z][a-z0-9_]*", snake) and snake not in app_text.RESERVED
    assert app_text.is_java_package(f"edgepack.models.{snake}")


@given(st.lists(ANY, max_size=6))
def test_tensors_of_one_model_have_fields_of_their_own(names: list[str]) -> None:
    fields: list[str] = []
    for name in names:
        tensor = app_tensor(name, "input", (1,), DType.FLOAT32, None, None, fields)
        fields.append(tensor.field)
    assert len(set(fields)) == len(fields)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back(value: float) -> None:
    text = app_text.number(value)
    assert float(text) == value
    assert re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", text)  # in all three languages a double


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("serving_default_audio:0", "audio"),
        ("StatefulPartitionedCall:1", "output"),
        ("Identity_int8", "output"),
        ("input_1_int8", "output"),
        ("dense/Softmax", "dense/Softmax"),
        ("", "output"),
    ],
)
def test_what_the_converter_wraps_around_a_name_comes_off(name: str, title: str) -> None:
    assert tensor_title(name, "output") == title


@pytest.mark.parametrize("package", ["model", "com.class.x", "com..x", "com.1x", "com.x y", ""])
def test_what_is_no_package(package: str) -> None:
    assert not app_text.is_java_package(package)


@pytest.mark.parametrize("name", ["flutter", "app", "tflite_flutter", "Flutter"])
def test_a_module_is_never_called_like_its_surroundings(name: str) -> None:
    assert app_text.snake(name, "model") == f"{name.lower()}_model"
