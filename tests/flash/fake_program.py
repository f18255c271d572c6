"""Programs that record how they were called, print what they are told, and end with a code."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

_SOURCE = """#!{python}
import json, sys, time
with open({calls!r}, "a", encoding="utf-8") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
for text in {out!r}:
    sys.stdout.write(text)
    sys.stdout.flush()
sys.stderr.write({err!r})
sys.stderr.flush()
time.sleep({sleep!r})
sys.exit({code!r})
"""


@dataclass(frozen=True)
class FakeProgram:
    """An executable in `folder`; put the folder on PATH."""

    folder: Path
    name: str

    def says(self, *out: str, err: str = "", code: int = 0, sleep: float = 0.0) -> FakeProgram:
        """(Re)write it."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / self.name
        source = _SOURCE.format(
            python=sys.executable, calls=str(self._calls), out=out, err=err, code=code, sleep=sleep
        )
        path.write_text(source, "utf-8")
        path.chmod(0o755)
        return self

    @property
    def _calls(self) -> Path:
        return self.folder / f"{self.name}.calls"

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call so far."""
        if not self._calls.exists():
            return []
        return [json.loads(line) for line in self._calls.read_text("utf-8").splitlines()]
