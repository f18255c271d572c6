"""Firmware that introduces itself, built once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from edgepack.manifest import Manifest, read_manifest

Project = tuple[Path, Manifest]


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Project]:
    """A project for a target with a small network; another seed makes another build id."""

    # slow to import, and most tests of this folder need no firmware
    from edgepack.pipeline.build import BuildRequest, build_project
    from tests.small_models import small_cnn

    @cache
    def build(target: str, seed: int) -> Project:
        folder = tmp_path_factory.mktemp(f"{target}-{seed}")
        model = folder / "small.tflite"
        model.write_bytes(small_cnn(seed=seed))
        build_project(BuildRequest(model, target), folder / "project")
        return folder / "project", read_manifest(folder / "project")

    return build
