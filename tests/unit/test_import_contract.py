"""Imports only go down the levels of the architecture; read from the sources, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "edgepack"

# The level of everything directly below edgepack/. A module may import what is lower, and its own
# package.
LEVELS = {
    "__init__": 0,
    "errors": 0,
    "types": 0,
    "resources": 0,
    "runner": 0,
    "atomic": 0,
    "cache": 0,
    "ir": 1,
    "targets": 1,
    "models": 1,
    "manifest": 1,
    "ops": 2,
    "convert": 3,
    "compress": 3,
    "quantize": 3,
    "frontends": 3,
    "passes": 3,
    "memory": 3,
    "emit": 4,
    "toolchain": 5,
    "cycles": 5,
    "flash": 5,
    "link": 5,
    "bench": 6,
    "report": 6,
    "pipeline": 7,
    "config": 7,
    "doctor": 7,
    "inspection": 7,
    "commands": 8,
    "cli": 8,
    "__main__": 8,
}

# (from, to) on one level, each with the reason why it may.
SAME_LEVEL = {
    ("runner", "errors"): "every module raises the errors of the one tree",
    ("resources", "errors"): "every module raises the errors of the one tree",
    ("atomic", "errors"): "every module raises the errors of the one tree",
    ("cache", "atomic"): "cached artefacts appear whole or not at all",
    ("bench", "report"): "a run ends in a report",
    ("flash", "toolchain"): "an image is checked against its target before it is flashed or run",
    ("quantize", "convert"): "what is quantized is opened and traced as for a conversion",
    ("compress", "convert"): "a teacher that is no Keras model runs as the .tflite it becomes",
    ("cycles", "toolchain"): "the symbols of an image say which code to count",
    ("pipeline", "config"): "the pipeline runs what the configuration says",
    ("cli", "commands"): "the application lists the commands",
    ("__main__", "cli"): "starts it",
}

# Large, optional or slow: imported inside the function that needs them, so that whoever does not
# use it pays nothing.
HEAVY = {
    "tensorflow",
    "keras",
    "tf_keras",
    "torch",
    "onnx",
    "onnxruntime",
    "onnx2tf",
    "scipy",
    "sklearn",
    "matplotlib",
}


@dataclass(frozen=True)
class Import:
    """One import statement: `unit` is the importing part of edgepack, `name` what it imports."""

    unit: str
    name: str
    line: str
    at_module_level: bool
    for_types_only: bool


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path, source: str) -> Iterator[Import]:
    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            names: list[str] = []
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, (
                    f"{path}:{child.lineno}: import edgepack's own by full name"
                )
                module = child.module or ""
                if module == "edgepack":
                    names = [f"edgepack.{alias.name}" for alias in child.names]
                else:
                    names = [module]
            for name in names:
                where = f"{path.relative_to(PACKAGE.parent)}:{child.lineno}"  # type: ignore[attr-defined]
                yield Import(unit_of(path), name, where, not in_function, for_types)
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            is_guard = (
                isinstance(child, ast.If)
                and isinstance(child.test, ast.Name)
                and child.test.id == "TYPE_CHECKING"
            )
            yield from walk(child, in_function or is_function, for_types or is_guard)

    yield from walk(ast.parse(source), False, False)


def problems_of(found: Import) -> Iterator[str]:
    top, *rest = found.name.split(".")
    if top == "edgepack":
        target = rest[0] if rest else "__init__"
        if target not in LEVELS:
            target = "__init__"  # edgepack.__version__
        if target == found.unit:
            return
        here, there = LEVELS[found.unit], LEVELS[target]
        allowed = there < here or target == "__init__" or (found.unit, target) in SAME_LEVEL
        if not allowed:
            yield f"{found.line}: {found.unit} (level {here}) imports {target} (level {there})"
    elif top in HEAVY and found.at_module_level and not found.for_types_only:
        yield f"{found.line}: {top} is imported at module level; import it where it is used"


# What runner.py hands out may be named elsewhere, as a type or to catch it; nothing may be started.
_MAY_NAME = {"Popen", "TimeoutExpired", "PIPE", "DEVNULL", "STDOUT"}


def programs_started(path: Path, source: str) -> Iterator[str]:
    """Every place that starts a program past edgepack/runner.py."""
    if unit_of(path) == "runner":
        return
    for node in ast.walk(ast.parse(source)):
        started = ""
        if isinstance(node, ast.ImportFrom) and node.module == "subprocess":
            started = ", ".join(a.name for a in node.names if a.name not in _MAY_NAME)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            started = ", ".join(a.name for a in node.names if a.name.startswith(_OS_STARTERS))
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            module, _, name = called.rpartition(".")
            if module == "subprocess" or called == "Popen":
                started = called if name != "TimeoutExpired" else ""
            elif module == "os" and name.startswith(_OS_STARTERS):
                started = called
        if started:
            yield (
                f"{path.relative_to(PACKAGE.parent)}:{node.lineno}: {started}: "  # type: ignore[attr-defined]
                "programs are only started through edgepack/runner.py"
            )


_OS_STARTERS = ("system", "popen", "exec", "spawn", "posix_spawn", "fork")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_part_has_a_level() -> None:
    units = {unit_of(path) for path in modules()}
    assert units <= LEVELS.keys(), f"give them a level: {sorted(units - LEVELS.keys())}"


def all_problems(path: Path, source: str) -> list[str]:
    imported = [p for found in imports_of(path, source) for p in problems_of(found)]
    return [*imported, *programs_started(path, source)]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_levels(path: Path) -> None:
    problems = all_problems(path, path.read_text(encoding="utf-8"))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/conv.py", "from edgepack.emit.project import emit"),
        ("ops/conv.py", "def f():\n    import edgepack.cli"),
        ("passes/fold.py", "from edgepack.memory.plan import plan"),
        ("errors.py", "from edgepack import runner"),
        ("quantize/convert.py", "import tensorflow as tf"),
        ("models/keras.py", "try:\n    from keras import layers\nexcept ImportError:\n    pass"),
        ("flash/pyocd.py", "import subprocess\nsubprocess.run(['x'])"),
        ("flash/pyocd.py", "def f():\n    import subprocess\n    return subprocess.Popen(['x'])"),
        ("flash/pyocd.py", "def f():\n    from subprocess import run"),
        ("flash/pyocd.py", "from subprocess import Popen\nPopen(['x'])"),
        ("flash/pyocd.py", "import os\nos.system('x')"),
        ("flash/pyocd.py", "from os import execv"),
    ],
)
def test_a_breach_is_found(file: str, source: str) -> None:
    assert all_problems(PACKAGE / file, source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/conv.py", "from edgepack.ir import Graph\nfrom edgepack.ops.base import Op"),
        ("quantize/convert.py", "def f():\n    import tensorflow as tf"),
        ("quantize/convert.py", "if TYPE_CHECKING:\n    import tensorflow as tf"),
        ("runner.py", "import subprocess\nfrom edgepack.errors import EdgepackError"),
        ("emit/project.py", "from edgepack import __version__"),
        ("bench/child.py", "import subprocess\nchild: subprocess.Popen[bytes]"),
    ],
)
def test_what_is_allowed_passes(file: str, source: str) -> None:
    assert not all_problems(PACKAGE / file, source)
