"""`file.py:function` in the place of a model, in every command that takes one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack.cli import run
from edgepack.models.isolate import kept_child

pytestmark = pytest.mark.needs_tf
SOURCE = """
import pathlib
import keras


def make(seed):
    with open(pathlib.Path(__file__).with_name("calls"), "a") as file:
        file.write("x")
    keras.utils.set_random_seed(seed)
    x = keras.Input((6, 6, 2), name="image")
    y = keras.layers.Flatten()(keras.layers.Conv2D(3, 3, activation="relu")(x))
    return keras.Model(x, keras.layers.Dense(4)(y))


def number():
    return 5
"""


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(SOURCE)
    return "nets.py:make"


def test_a_function_is_run_once_for_all_commands(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", spec, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"]["format"] == "keras"
    assert found["source"]["parameters"] == 3 * (3 * 3 * 2 + 1) + 4 * (4 * 4 * 3 + 1)
    assert run(["build", spec, "-t", "host", "-o", "built", "--no-compile"]) == 0
    assert (tmp_path / "built" / "manifest.json").is_file()
    assert run(["convert", spec, "-o", "net.tflite", "--json"]) == 0
    assert (tmp_path / "calls").read_text() == "x"
    (tmp_path / "nets.py").write_text(SOURCE.replace("Dense(4)", "Dense(5)"))
    capsys.readouterr()
    assert run(["inspect", spec, "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)
    assert changed["source"]["outputs"][0]["shape"] == [-1, 5]


@pytest.mark.slow
def test_a_configuration_names_one(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"[model]\nsource = '{spec}'\n[build]\ntargets = ['host']\n"
    (tmp_path / "edgepack.toml").write_text(config)
    assert run(["run", "edgepack.toml"]) == 0
    assert "yes" in capsys.readouterr().out  # equal to the oracle
    assert (tmp_path / "calls").read_text() == "x"


def test_a_function_that_makes_no_model_is_told_so(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", "nets.py:number", "-t", "host", "-o", "built"]) != 0
    assert "returned a int" in capsys.readouterr().err
