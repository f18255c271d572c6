"""A project whose copy of one kernel computes something else, as a bad port or compiler would."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgepack.manifest import read_manifest, write_manifest
from edgepack.targets import load_target
from edgepack.toolchain import compile_project

_WORD = "p->output_offset"
_WRONG = "(p->output_offset + 1)"


def break_kernel(built: Path, out: Path, header: str) -> Path:
    """A copy of a project in which the kernels of a header add one to each output; compiled."""
    shutil.copytree(built, out)
    path = out / "firmware" / "kernels" / header
    text = path.read_text(encoding="utf-8")
    assert _WORD in text, f"{header} no longer says {_WORD}: break it in another way"
    path.write_text(text.replace(_WORD, _WRONG), encoding="utf-8")
    manifest = read_manifest(out)
    write_manifest(out, compile_project(out, manifest, load_target(manifest.target)))
    return out
