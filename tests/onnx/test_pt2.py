"""PyTorch programs convert through ONNX and compute what PyTorch does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgepack.cache import Cache
from edgepack.cli import run
from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import EdgepackError
from edgepack.models.handle import ModelFormat
from edgepack.models.isolate import has_package, kept_child
from edgepack.models.load import load_model
from edgepack.pipeline.convert_entry import model_file, names_entry
from tests.convert.mutate import mutations

pytestmark = [
    pytest.mark.needs_tf,
    pytest.mark.skipif(
        not (has_package("torch") and has_package("onnxscript") and has_package("onnx2tf")),
        reason="PyTorch is not installed: pip install 'edgepack[torch]' (2 GB, not part of set-up)",
    ),
]
TOLERANCE = 1e-4  # of the outputs' range
SOURCE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, factor, stride):
        super().__init__()
        hidden = inputs * factor
        self.adds = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()
        )
        self.blocks = nn.Sequential(
            Block(16, 16, 1, 1), Block(16, 24, 6, 2), Block(24, 24, 6, 1), Block(24, 32, 6, 2)
        )
        self.classes = nn.Linear(32, 10)

    def forward(self, x):
        return self.classes(self.blocks(self.stem(x)).mean([2, 3]))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = kind(8, 16, batch_first=True)
        self.last = nn.Linear(16, 4)

    def forward(self, x):
        y, _ = self.cell(x)
        return self.last(y[:, -1])


def mobile():
    torch.manual_seed(0)
    model = Mobile().eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return model, (torch.randn(1, 3, 64, 64),)


def lstm():
    torch.manual_seed(0)
    return Recurrent(nn.LSTM), (torch.randn(1, 12, 8),)


def sequences():
    torch.manual_seed(0)
    cell = nn.LSTM(8, 12, batch_first=True)

    class All(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.last = cell, nn.Linear(12, 4)

        def forward(self, x):
            return self.last(self.cell(x)[0])

    return All(), (torch.randn(1, 12, 8),)


def gru():
    torch.manual_seed(0)
    return torch.export.export(Recurrent(nn.GRU).eval(), (torch.randn(1, 12, 8),))
"""


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


@pytest.mark.parametrize("name", ["mobile", "lstm", "gru", "sequences"])
def test_a_program_computes_what_pytorch_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    spec = Path(f"nets.py:{name}")
    assert names_entry(spec)
    path = model_file(spec, Cache(tmp_path / "cache"))
    handle = load_model(path)
    assert handle.format is ModelFormat.PT2
    done = convert(path, tmp_path / "out", ConvertOptions())
    assert done.parity[0].max_relative < TOLERANCE
    assert done.report["transposes"]["at_convolutions"] == 0
    assert "TRANSPOSE" not in done.report["operators"]
    assert ("WHILE" in done.report["operators"]) == (name != "mobile")
    assert (done.source.producer or "").startswith("PyTorch")


def test_every_command_takes_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    assert run(["inspect", "nets.py:lstm"]) == 0
    assert run(["build", "nets.py:lstm", "-t", "host", "-o", "built"]) == 0
    assert run(["bench", "built", "--samples", "2"]) == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_damaged_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    (tmp_path / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    good = model_file(Path("nets.py:lstm"), Cache(tmp_path / "cache")).read_bytes()
    path = tmp_path / "damaged.pt2"
    found: Counter[str] = Counter()
    for data in mutations(good, 2000, seed=3):
        path.write_bytes(data)
        try:
            convert(path, tmp_path / "out", ConvertOptions(time_limit=60))
            found["converted"] += 1
        except EdgepackError as error:
            assert error.message and "\n  File" not in error.message
            found[type(error).__name__] += 1
    assert found.total() == 2000
    record_property("note", f"2000 damaged .pt2 files: {dict(found)}")
