"""`edgepack report`: runs shown, made into a page, and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgepack import cli
from edgepack.errors import DataError, UsageError
from edgepack.report.files import read_runs
from edgepack.report.schema import write_run
from tests.unit.test_report import document, make


def _files(folder: Path) -> list[str]:
    before = make()
    sizes = document()["sizes"]
    flash = {**sizes["flash_bytes"], "total": 30_000}
    failure = {"error": "device_lost_error", "message": "gone", "exit_code": 13}
    samples = {**document()["samples"], "done": 999, "missing": [[999, 1000]]}
    after = make(
        sizes={**sizes, "flash_bytes": flash}, status="partial", samples=samples, failure=failure
    )
    for name, report in (("a.json", before), ("b.json", after)):
        write_run(folder / name, report)
    return [str(folder / "a.json"), str(folder / "b.json")]


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = _files(tmp_path)
    assert cli.run(["report", "compare", *files]) == 0
    said = capsys.readouterr().out
    assert "-50.0 %" in said and "the second run is partial: 999 of 1000" in said
    assert cli.run(["report", "compare", *files, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert next(r for r in rows if r["name"] == "flash, total")["ratio"] == 0.5
    assert cli.run(["report", "compare", files[0]]) == UsageError.exit_code
    assert "compare was given 1 runs" in capsys.readouterr().err


def test_a_page_of_one_and_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = _files(tmp_path)
    assert cli.run(["report", "html", files[0]]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("<h2>Speed</h2>") == 1 and "runs</h1>" not in page
    assert cli.run(["report", "html", *files, "--out", str(tmp_path / "both.html")]) == 0
    page = (tmp_path / "both.html").read_text()
    assert "<h1>2 runs</h1>" in page and page.count("<h2>Speed</h2>") == 2
    assert "failed: device_lost_error" in page and page.count("<!doctype") == 1
    missing = str(tmp_path / "no" / "page.html")
    assert cli.run(["report", "html", files[0], "-o", missing]) == DataError.exit_code


def test_runs_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = _files(tmp_path)
    assert cli.run(["report", "show", *files, "--layers"]) == 0
    said = capsys.readouterr().out
    assert said.count("kws: 2,000,000 MACs") == 2 and "ep_conv_2d_s8" in said
    assert "failed: device_lost_error" in said
    assert cli.run(["report", "show", files[0], "--out", "x"]) == UsageError.exit_code


def test_what_is_no_report_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", "show", str(tmp_path / "none.json")]) == DataError.exit_code
    assert "does not exist" in capsys.readouterr().err
    path = tmp_path / "runs.json"
    documents: list[tuple[Any, str]] = [
        ([], r"is no run\.json"),
        ({"runs": [{"run": 5}]}, r"is no runs\.json"),
        ({"runs": [{}]}, r"is no runs\.json"),
        ({"runs": [{"run": None}]}, "holds no run"),
    ]
    for content, message in documents:
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match=message):
            read_runs(path)


def test_an_interruption_is_reported_everywhere() -> None:
    from edgepack.report.html import render_html

    lost = {"error": "device_lost_error", "message": "the <port> is gone", "samples_done": 7}
    page = render_html(make(interruptions=[lost]))
    assert "lost and found again after 7 samples: the &lt;port&gt; is gone" in page
