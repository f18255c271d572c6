"""An Android library module: assets, a Kotlin class, Gradle files, an instrumentation test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.emit.app import App, common_context
from edgepack.emit.app_files import write_goldens, write_model, write_readme
from edgepack.emit.sources import write_text
from edgepack.emit.templates import render
from edgepack.targets import AppTarget

# What ktlint is to hold the sources against. Names have the length that the user gave them: how a
# signature is folded is left to the generator.
_STYLE = """root = true

[*.{kt,kts}]
ktlint_code_style = intellij_idea
ktlint_standard_function-signature = disabled
"""


def emit_android(app: App, record: AppTarget, directory: Path) -> None:
    """Write a Gradle project that holds the library module, into an existing empty directory."""
    module = app.snake_name
    context: dict[str, Any] = {
        **common_context(app),
        "record": record,
        "module": module,
        # two modules in one app must not have assets of one name
        "folder": module,
        "images": [t for t in app.inputs if t.image],
    }
    sources = "/".join(app.package.split("."))
    main, test = f"{module}/src/main", f"{module}/src/androidTest"
    files = {
        "settings.gradle.kts": "settings.gradle.kts",
        "build.gradle.kts": "root.gradle.kts",
        f"{module}/build.gradle.kts": "module.gradle.kts",
        f"{module}/consumer-rules.pro": "consumer-rules.pro",
        f"{main}/AndroidManifest.xml": "AndroidManifest.xml",
        f"{main}/kotlin/{sources}/{app.class_name}.kt": "Model.kt",
        f"{main}/kotlin/{sources}/Codec.kt": "Codec.kt",
        f"{main}/kotlin/{sources}/Session.kt": "Session.kt",
        f"{test}/kotlin/{sources}/GoldenTest.kt": "GoldenTest.kt",
    }
    for name, template in files.items():
        write_text(directory, name, render(f"android/{template}.j2", **context))
    write_text(directory, "gradle.properties", "android.useAndroidX=true\n")
    write_text(directory, ".editorconfig", _STYLE)
    write_model(app, directory / main / "assets" / module)
    write_goldens(app, directory / test / "assets" / "golden")
    write_readme(directory, "android", context)
