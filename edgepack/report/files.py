"""Reports from files: one run.json, or runs.json of several boards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgepack.errors import DataError
from edgepack.report.schema import RunReport, read_run


def read_runs(path: Path) -> tuple[RunReport, ...]:
    """The runs of a file; boards of a runs.json that left no report are not among them.

    Raises:
        DataError: it is missing or damaged, or holds no run.
    """
    try:
        document: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return (read_run(path),)  # which says what is wrong
    if not isinstance(document, dict) or not isinstance(document.get("runs"), list):
        return (read_run(path),)
    try:
        found = tuple(
            RunReport.model_validate_json(json.dumps(item["run"]))
            for item in document["runs"]
            if item["run"] is not None
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{path} is no runs.json: {error}") from error
    if not found:
        raise DataError(f"{path} holds no run: every board failed before its first sample")
    return found
