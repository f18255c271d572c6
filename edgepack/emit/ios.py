"""A Swift package and a pod for iOS: resources, a Swift class, an XCTest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.emit.app import App, common_context
from edgepack.emit.app_files import plain_version, write_goldens, write_model, write_readme
from edgepack.emit.sources import write_text
from edgepack.emit.templates import render
from edgepack.targets import AppTarget


def emit_ios(app: App, record: AppTarget, directory: Path) -> None:
    """Write the package into an existing empty directory."""
    # a module that is called like a class in it hides that class from its users
    module = f"{app.class_name}Kit"
    context: dict[str, Any] = {
        **common_context(app),
        "record": record,
        "module": module,
        "pod_version": plain_version(app.version),
        "images": [t for t in app.inputs if t.image],
    }
    sources, tests = f"Sources/{module}", f"Tests/{module}Tests"
    files = {
        "Package.swift": "Package.swift",
        f"{module}.podspec": "module.podspec",
        f"{sources}/{app.class_name}.swift": "Model.swift",
        f"{sources}/Codec.swift": "Codec.swift",
        f"{sources}/Session.swift": "Session.swift",
        f"{tests}/GoldenTests.swift": "GoldenTests.swift",
    }
    for name, template in files.items():
        write_text(directory, name, render(f"ios/{template}.j2", **context))
    write_model(app, directory / sources / "Resources")
    write_goldens(app, directory / tests / "golden")
    write_readme(directory, "ios", context)
