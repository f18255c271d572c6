"""A Flutter package: assets, a Dart class, tests for the computer and for the phone."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from edgepack.emit.app import App, common_context
from edgepack.emit.app_files import plain_version, write_model, write_readme
from edgepack.emit.sources import write_text
from edgepack.emit.templates import render
from edgepack.targets import AppTarget


def emit_flutter(app: App, record: AppTarget, directory: Path) -> None:
    """Write the package into an existing empty directory."""
    package = app.snake_name
    context: dict[str, Any] = {
        **common_context(app),
        "record": record,
        "package": package,
        "pod_version": plain_version(app.version),
        "images": [t for t in app.inputs if t.image],
        "goldens": [
            {
                "inputs": [_text(data) for data in golden.inputs],
                "outputs": [_text(data) for data in golden.outputs],
                "pixels": None if golden.pixels is None else _text(golden.pixels),
            }
            for golden in app.goldens
        ],
    }
    files = {
        "pubspec.yaml": "pubspec.yaml",
        f"lib/{package}.dart": "model.dart",
        "lib/src/codec.dart": "codec.dart",
        "lib/src/session.dart": "session.dart",
        "test/golden.dart": "golden.dart",
        "test/codec_test.dart": "codec_test.dart",
        "integration_test/golden_test.dart": "golden_test.dart",
    }
    for name, template in files.items():
        write_text(directory, name, render(f"flutter/{template}.j2", **context))
    write_model(app, directory / "assets")
    write_readme(directory, "flutter", context)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
