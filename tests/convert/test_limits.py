"""Limits of the converting process: memory, time, and what its death becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.convert import blame
from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.convert.table import CONVERTERS, Converter
from edgepack.errors import ConversionError, EdgepackError
from edgepack.models.handle import ModelFormat
from edgepack.models.isolate import CrashError
from tests.tflite_builder import ModelBuilder, spec


def test_memory_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConversionError, match=r"more memory than the 1,024 MB allowed") as caught:
        _convert_with("greedy_opener", tmp_path, monkeypatch, ConvertOptions(memory_limit=1024))
    assert "--memory-limit" in (caught.value.next_step or "")


def test_a_segmentation_fault_becomes_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConversionError, match=r"converting m\.tflite crashed: .* SIGSEGV"):
        _convert_with("crash_opener", tmp_path, monkeypatch, ConvertOptions())


def _convert_with(
    opener: str, folder: Path, monkeypatch: pytest.MonkeyPatch, options: ConvertOptions
) -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 4), "FLOAT32")
    model.output(model.op("RELU", [x], [spec((1, 4), "FLOAT32")])[0])
    path = folder / "m.tflite"
    path.write_bytes(model.build())
    converter = Converter(f"tests.convert.tasks:{opener}")
    monkeypatch.setitem(CONVERTERS, ModelFormat.TFLITE, converter)
    convert(path, folder / "out", options)


def test_time_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConversionError, match="did not finish within 2 s") as caught:
        _convert_with("slow_opener", tmp_path, monkeypatch, ConvertOptions(time_limit=2))
    assert caught.value.next_step == "--time-limit SECONDS allows more"


def test_a_crash_is_traced_to_its_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child crashes as soon as the third of five layers is in the network."""
    path = tmp_path / "net.keras"
    path.write_bytes(b"")
    monkeypatch.setattr(blame, "_TASK", "tests.convert.tasks:crash_at_third")
    crash = CrashError("converting net.keras crashed: its process died of SIGSEGV")
    error: EdgepackError = blame.name_the_layer(crash, path, ConvertOptions(time_limit=60), {})
    assert error.message.startswith(crash.message)
    assert "it happens at the layer layer_3 (Odd)" in error.message
