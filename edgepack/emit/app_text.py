"""Names and literals of Kotlin, Swift, Dart and the files around them: nothing else quotes text.

What comes from a user (names, descriptions, tensor names) is escaped down to printable ASCII, so
that no character can end a literal, open an interpolation, or be shown as something it is not.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Sequence

# Words that name something in at least one of the three languages, in Java (package names become
# Java packages), or in the generated classes. A name is refused everywhere if it is taken anywhere,
# so that one model has one API.
# fmt: off
RESERVED = frozenset((
    # Kotlin, hard keywords
    "as", "break", "class", "continue", "do", "else", "false", "for", "fun", "if", "in",
    "interface", "is", "null", "object", "package", "return", "super", "this", "throw", "true",
    "try", "typealias", "typeof", "val", "var", "when", "while",
    # Java
    "abstract", "assert", "boolean", "byte", "case", "catch", "char", "const", "default", "double",
    "enum", "extends", "final", "finally", "float", "goto", "implements", "import", "instanceof",
    "int", "long", "native", "new", "private", "protected", "public", "short", "static",
    "strictfp", "switch", "synchronized", "throws", "transient", "void", "volatile",
    # Swift
    "actor", "any", "associatedtype", "async", "await", "borrowing", "consuming", "convenience",
    "defer", "deinit", "dynamic", "extension", "fallthrough", "fileprivate", "func", "guard",
    "indirect", "infix", "init", "inout", "internal", "lazy", "let", "mutating", "nil",
    "nonisolated", "nonmutating", "open", "operator", "optional", "override", "postfix",
    "precedencegroup", "prefix", "protocol", "repeat", "required", "rethrows", "self", "some",
    "struct", "subscript", "type", "unowned", "weak", "where", "Any", "Self", "Type", "Protocol",
    # Dart
    "base", "covariant", "deferred", "export", "extern", "external", "factory", "function", "get",
    "hide", "late", "library", "mixin", "of", "on", "part", "sealed", "set", "show", "sync",
    "typedef", "with", "yield",
    # members of every class, and what the generated classes and functions call things
    "accelerator", "accelerators", "bitmap", "bytes", "category", "classify", "clone", "close",
    "codec", "companion", "context", "copy", "create", "description", "equals", "fallbacks",
    "field", "finalize", "hash", "hashCode", "hashValue", "image", "inputs", "it", "k", "labels",
    "main", "name", "notify", "options", "outputs", "raw", "reset", "rgba", "run", "runRaw",
    "runtimeType", "noSuchMethod", "session", "size", "test", "toString", "value", "values",
    "wait",
))
# Packages and folders that lie beside the generated one in an app's build.
_PACKAGES = frozenset((
    "app", "build", "dart", "flutter", "flutter_test", "gradle", "integration_test", "src",
    "tflite_flutter",
))
# fmt: on
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
LONGEST_LINE = 140  # of generated sources
_LONGEST_NAME = 60  # characters of an identifier; file systems and readers take more, people not


def words(text: str) -> list[str]:
    """The words of a name, in lower case: `myInput_int8 1` -> my, input, int8, 1.

    Letters with accents lose them; scripts that have no Latin form leave nothing.
    """
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return [word.lower() for word in _WORD.findall(folded)]


def pascal(text: str, fallback: str) -> str:
    """A type name, such as `KeywordSpotter`."""
    name = "".join(word.capitalize() for word in words(text))[:_LONGEST_NAME]
    if not name or name[0].isdigit():
        name = fallback + name
    return name


def camel(text: str, fallback: str, taken: Collection[str] = ()) -> str:
    """A variable name, such as `keywordSpotter`, that is neither reserved nor taken."""
    name = pascal(text, fallback.capitalize())
    name = name[0].lower() + name[1:]
    return _free(name, "Value", taken)


def snake(text: str, fallback: str) -> str:
    """A package name, such as `keyword_spotter`."""
    name = "_".join(words(text))[:_LONGEST_NAME].strip("_")
    if not name or name[0].isdigit():
        name = f"{fallback}_{name}".strip("_")
    return _free(name + ("_model" if name in _PACKAGES else ""), "_model", ())


def package_word(text: str, fallback: str) -> str:
    """The last word of a Kotlin package, where Kotlin's style has no `_`: `keywordspotter`."""
    return _free(snake(text, fallback).replace("_", ""), "model", ())


def _free(name: str, suffix: str, taken: Collection[str]) -> str:
    if name in RESERVED:
        name += suffix
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}{number}", number + 1
    return unique


def is_java_package(text: str) -> bool:
    """Whether it can name a Kotlin package and an Android namespace: two or more plain words."""
    parts = text.split(".")
    return len(parts) > 1 and all(
        re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", part) and part not in RESERVED for part in parts
    )


def clean(text: str) -> str:
    """Text without what no encoding can carry: half surrogates become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def kotlin(text: str) -> str:
    """A Kotlin string literal, also for Gradle's Kotlin DSL. `$` opens a template there."""
    return _quoted(text, "\\$", lambda unit: f"\\u{unit:04X}", utf16=True)


def swift(text: str) -> str:
    r"""A Swift string literal. `\(` opens an interpolation: every backslash is escaped."""
    return _quoted(text, "$", lambda code: f"\\u{{{code:X}}}", utf16=False)


def dart(text: str) -> str:
    """A Dart string literal in single quotes."""
    inner = _quoted(text, "\\$", lambda code: f"\\u{{{code:X}}}", utf16=False)[1:-1]
    return "'" + inner.replace('\\"', '"').replace("'", "\\'") + "'"


def ruby(text: str) -> str:
    """A Ruby string literal in single quotes, where nothing is interpolated."""
    inner = re.sub(r"[^\x20-\x7e]", "?", clean(text))
    return "'" + inner.replace("\\", "\\\\").replace("'", "\\'") + "'"


def yaml(text: str) -> str:
    """A YAML string: JSON's form in ASCII is one (YAML 1.2, 5.7)."""
    return json.dumps(clean(text))


def comment(text: str) -> str:
    """Text for a line comment: one line of printable ASCII, which no comment's end can be in."""
    printable = re.sub(r"[^\x20-\x7e]", "?", clean(text))
    return printable.replace("*/", "* /").replace("/*", "/ *")


def markdown(text: str) -> str:
    """Text for one line of Markdown, with everything that would be markup made harmless."""
    line = re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", clean(text)).strip()
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&$])", r"\\\1", line)


def number(value: float) -> str:
    """A floating-point literal of all three languages that reads back as the same double.

    Raises:
        ValueError: it is infinite or no number.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} has no literal")
    shown = repr(float(value))
    mantissa, _, exponent = shown.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + (f"e{int(exponent)}" if exponent else "")


def folded(head: str, items: Sequence[str], tail: str, indent: int, *, comma: bool = True) -> str:
    """`head`, the items, `tail`: on one line where that is short enough, else an item a line.

    Args:
        indent: blanks in front of it.
        comma: whether the last of several lines of items ends with a comma.
    """
    blank = " " * indent
    line = f"{blank}{head}{', '.join(items)}{tail}"
    if len(line) <= LONGEST_LINE:
        return line
    inner = ",\n".join(f"{blank}    {item}" for item in items)
    return f"{blank}{head}\n{inner}{',' if comma else ''}\n{blank}{tail}"


def _quoted(text: str, dollar: str, escape: object, *, utf16: bool) -> str:
    assert callable(escape)
    out = []
    for character in clean(text):
        code = ord(character)
        if character in _SHORT:
            out.append(_SHORT[character])
        elif character in '\\"':
            out.append("\\" + character)
        elif character == "$":
            out.append(dollar)
        elif 32 <= code < 127:
            out.append(character)
        elif utf16 and code > 0xFFFF:
            high, low = 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)
            out.append(escape(high) + escape(low))
        else:
            out.append(escape(code))
    return '"' + "".join(out) + '"'
