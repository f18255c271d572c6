"""What the modules of all kinds of apps hold alike: model, labels, golden vectors, README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgepack.emit.app import App
from edgepack.emit.metadata import LABEL_FILE
from edgepack.emit.sources import write_text
from edgepack.emit.templates import render

MODEL_FILE = "model.tflite"


def write_model(app: App, folder: Path) -> None:
    """Write the model and, where there are labels, the label file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(app.model)
    if app.labels:
        (folder / LABEL_FILE).write_bytes(app.label_bytes())


def write_goldens(app: App, folder: Path) -> None:
    """Write `<sample>.input<i>.bin`, `<sample>.output<i>.bin` and `<sample>.pixels.bin`."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample, golden in enumerate(app.goldens):
        for side, tensors in (("input", golden.inputs), ("output", golden.outputs)):
            for index, data in enumerate(tensors):
                (folder / f"{sample}.{side}{index}.bin").write_bytes(data)
        if golden.pixels is not None:
            (folder / f"{sample}.pixels.bin").write_bytes(golden.pixels)


def write_readme(directory: Path, kind: str, context: dict[str, Any]) -> None:
    """Write README.md: how to use the module, its tensors, where its figures come from."""
    write_text(directory, "README.md", render(f"{kind}/README.md.j2", **context))


def plain_version(text: str) -> str:
    """A version that every package manager takes: what is no `1.2.3` becomes `0.0.0`."""
    return text if re.fullmatch(r"\d+\.\d+\.\d+", text) else "0.0.0"
