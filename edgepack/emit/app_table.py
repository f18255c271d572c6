"""The kinds of apps that a model can be packed for. To add one: a file, a row, targets/apps/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgepack.emit.android import emit_android
from edgepack.emit.app import App
from edgepack.emit.flutter import emit_flutter
from edgepack.emit.ios import emit_ios
from edgepack.targets import AppTarget

Emitter = Callable[[App, AppTarget, Path], None]

EMITTERS: dict[str, Emitter] = {
    "android": emit_android,
    "flutter": emit_flutter,
    "ios": emit_ios,
}
