"""Functions of the user's own: found, given what they ask for, explained when they fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import ConfigError, DataError, MissingToolError
from edgepack.models.dataset import read_dataset
from edgepack.models.entry import is_entry, parse_entry, run_data_entry

SOURCE = """
import random
import numpy as np
from helper import ROWS

def good(seed, progress, extra=1):
    progress(0.5, "half")
    print("noise")
    noise = np.random.rand() + random.random()
    return {"x": np.full((ROWS, 3), seed + noise, np.float32), "y": np.arange(ROWS)}

def fails():
    return 1 // 0

def wants(moon):
    return {}

def wrong():
    return "no data"

def needs():
    import a_package_that_is_not_there
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "helper.py").write_text("ROWS = 10\n")
    return tmp_path


def test_which_texts_name_a_function() -> None:
    assert is_entry("train:load_data")
    assert is_entry("tools/train.py:main")
    for text in ("data.npz", "train", "train:", ":main", "train:2x", "C:\\data.npz", "a:b:c"):
        assert not is_entry(text), text


def test_the_file_is_looked_for_beside_the_configuration(base: Path) -> None:
    assert parse_entry("mine:good", base) == parse_entry("mine.py:good", base)
    assert str(parse_entry("mine:good", base)) == "mine.py:good"
    with pytest.raises(ConfigError, match=r"other\.py, which is not in"):
        parse_entry("other:good", base)


def test_a_data_entry_gets_what_it_asks_for_and_repeats(base: Path) -> None:
    seen: list[str] = []
    entry = parse_entry("mine:good", base)
    first = run_data_entry(
        entry, base / "a", seed=5, progress=lambda _s, _f, message: seen.append(message)
    )
    second = run_data_entry(entry, base / "b", seed=5)
    assert "half" in seen
    assert first.read_bytes() == second.read_bytes()
    data = read_dataset(first)
    assert data.train.inputs[0].shape == (8, 3)
    assert np.all(data.train.inputs[0] >= 5)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("fails", ConfigError, r"mine:fails raised ZeroDivisionError.*\(mine\.py, line 13\)"),
        ("wants", ConfigError, "argument 'moon'"),
        ("absent", ConfigError, "no function 'absent'"),
        ("wrong", DataError, "mine.py:wrong gave a str"),
        ("needs", MissingToolError, "a_package_that_is_not_there"),
    ],
)
def test_failures_name_the_function(
    base: Path, function: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run_data_entry(parse_entry(f"mine:{function}", base), base / "out")
    assert not (base / "out" / "data.npz").exists()
