"""Programs that record how they were called, print what they are told, and end with a code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# A shell script starts in a millisecond; its commands are named in full, as PATH may be empty.
_SOURCE = """#!/bin/sh
printf '%s\\n' "$#" "$@" >> '{stem}.calls'
/bin/cat '{stem}.out'
/bin/cat '{stem}.err' >&2
{sleep}
exit {code}
"""


@dataclass(frozen=True)
class FakeProgram:
    """An executable in `folder`; put the folder on PATH."""

    folder: Path
    name: str

    def says(self, out: str = "", *, err: str = "", code: int = 0, sleep: int = 0) -> FakeProgram:
        """(Re)write it. It sleeps, for so many seconds, after it has spoken."""
        stem = self.folder / self.name
        stem.with_name(f"{self.name}.out").write_text(out, "utf-8")
        stem.with_name(f"{self.name}.err").write_text(err, "utf-8")
        wait = f"/bin/sleep {sleep}" if sleep else ""
        stem.write_text(_SOURCE.format(stem=stem, sleep=wait, code=code), "utf-8")
        stem.chmod(0o755)
        return self

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call so far."""
        record = self.folder / f"{self.name}.calls"
        lines = record.read_text("utf-8").splitlines() if record.exists() else []
        found = []
        while lines:
            count = int(lines.pop(0))
            found.append(lines[:count])
            lines = lines[count:]
        return found
