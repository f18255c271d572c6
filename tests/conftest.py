"""What a test may need: markers that skip with a reason, and the folder of real data."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from tests.ops.collection import Collected, collect_cases

CHECKOUT = Path(__file__).resolve().parent.parent


def data_dir() -> Path | None:
    """The folder of real models and data: EDGEPACK_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("EDGEPACK_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def _missing(item: pytest.Item) -> str | None:
    """Why a test cannot run here, or None."""
    names = {mark.name for mark in item.iter_markers()}
    if "needs_tf" in names and importlib.util.find_spec("tensorflow") is None:
        return "TensorFlow is not installed: pip install edgepack[tf]"
    if "needs_oracle" in names and importlib.util.find_spec("tflite_micro") is None:
        return "there is no tflite-micro wheel for this platform"
    if "needs_data" in names and data_dir() is None:
        return "the folder of real models and data is absent: set EDGEPACK_DATA"
    if "emulator" in names:
        for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
            if shutil.which(tool) is None:
                return f"{tool} is not installed: make setup"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reason = _missing(item)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what passing tests wanted to say: their properties called `note`."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "note":
                terminalreporter.write_line(f"note: {text}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real models and data; the test carries the marker `needs_data`."""
    folder = data_dir()
    if folder is None:
        pytest.fail("a test that uses real_data must be marked needs_data")
    return folder


@pytest.fixture(scope="session")
def ladder_cases(tmp_path_factory: pytest.TempPathFactory) -> list[Collected]:
    """Every case that the quick tests of tests/ops make, collected once for all workers."""
    base = tmp_path_factory.getbasetemp()
    return collect_cases((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ladder")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The top of the checkout."""
    return CHECKOUT
