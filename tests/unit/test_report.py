from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from edgepack.errors import DataError
from edgepack.report.compare import compare_runs
from edgepack.report.figures import microseconds, size
from edgepack.report.html import render_html
from edgepack.report.schema import RunReport, json_schema, read_run, schema_text, write_run
from edgepack.report.several import Line, overview
from edgepack.report.terminal import show_comparison, show_run


def document(**changes: Any) -> dict[str, Any]:
    """A valid run.json with keys replaced."""
    times = {"n": 1000, "min": 10.0, "median": 12.5, "p95": 14.0, "max": 40.0}
    layer = {"index": 0, "op": "CONV_2D", "name": "a", "kernel": "ep_conv_2d_s8", "macs": 900}
    base: dict[str, Any] = {
        "format": 1,
        "edgepack_version": "0.1.0",
        "build_id": "0123456789abcdef",
        "runtime": "c",
        "status": "complete",
        "model": {"name": "kws", "sha256": "ab" * 32, "macs": 2_000_000, "weights": 24_908},
        "target": {
            "id": "netduinoplus2",
            "cpu": "cortex-m4f",
            "clock_hz": 168_000_000,
            "kind": "emulated",
            "verified": "emulated",
        },
        "toolchain": {"name": "gcc", "version": "gcc 12.2.1", "flags": ["-O2"]},
        "sizes": {
            "flash_bytes": {"total": 60_000, "code": 20_000, "weights": 35_000, "tables": 5_000},
            "ram_bytes": {"total": 20_000, "arena": 8_384, "static": 11_000, "stack_peak": 616},
        },
        "samples": {
            "origin": "kws01.npz",
            "sha256": "cd" * 32,
            "requested": 1000,
            "done": 1000,
            "missing": [],
        },
        "device": {
            "latency_us": None,
            "instructions": {"n": 1000, "min": 8e6, "median": 9e6, "max": 1e7},
            "modelled_cycles": None,
        },
        "layers": [{**layer, "weight_bytes": 640, "instructions": 5e6}],
        "host": {"runtime": "LiteRT", "version": "2.3.0", "threads": 1, "latency_us": times},
        "parity": {
            "oracle": "tflite-micro 0.dev1",
            "samples": 1000,
            "bytes": 12_000,
            "mismatched_bytes": 0,
            "max_abs_diff": 0.0,
            "first_mismatch": None,
        },
        "accuracy": {"metric": "top-1", "n": 1000, "device": 0.902, "host": 0.901},
    }
    return {**base, **changes}


def make(**changes: Any) -> RunReport:
    return RunReport.model_validate_json(json.dumps(document(**changes)))


def _printed(report: RunReport, *, layers: bool = False) -> str:
    stream = io.StringIO()
    show_run(report, Console(file=stream, width=200), layers=layers)
    return stream.getvalue()


def test_the_json_schema_in_docs_is_current(checkout: Path) -> None:
    text = (checkout / "docs" / "run.schema.json").read_text(encoding="utf-8")
    assert text == schema_text(), "run: python -m edgepack.report.schema"


def test_the_schema_names_every_field_of_the_contract() -> None:
    schema = json_schema()

    def fields(name: str) -> set[str]:
        return set(schema["$defs"][name]["properties"])

    contract = {"model", "target", "toolchain", "sizes", "device", "layers", "host", "parity"}
    assert contract | {"accuracy"} <= set(schema["properties"])
    assert {"name", "sha256", "macs", "weights", "file_bytes"} == fields("Model")
    assert {"id", "cpu", "clock_hz", "kind", "verified", "emulator"} == fields("Target")
    assert {"name", "version"} == fields("Emulator")
    assert {"total", "code", "weights", "tables"} == fields("FlashBytes")
    assert {"total", "arena", "static", "stack_peak"} == fields("RamBytes")
    assert {"latency_us", "instructions", "modelled_cycles"} <= fields("Device")
    assert {"n", "min", "median", "max"} == fields("Distribution")
    assert {"n", "min", "median", "p95", "max"} == fields("HostDistribution")
    assert {"runtime", "version", "threads", "latency_us"} <= fields("Host")
    assert {"oracle", "samples", "bytes", "mismatched_bytes", "max_abs_diff", "first_mismatch"} <= (
        fields("ParityRecord")
    )
    assert {"sample", "output", "index", "actual", "expected"} == fields("FirstMismatch")
    assert {"metric", "n", "device", "host"} <= fields("Accuracy")


def test_a_run_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.json"
    write_run(path, make())
    assert read_run(path) == make()
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(DataError, match="does not exist"):
        read_run(path)
    whole = json.dumps(document())
    for text in (whole[:-20], "[]", whole.replace('"format": 1', '"format": 2'), "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(DataError, match=r"is no run\.json of format 1"):
            read_run(path)


def test_an_emulated_target_cannot_claim_a_latency() -> None:
    times = {"n": 3, "min": 1.0, "median": 1.0, "max": 1.0}
    device = {"latency_us": times, "instructions": None, "modelled_cycles": None}
    with pytest.raises(ValidationError, match="emulated target has no latency"):
        make(device=device)
    target = {**document()["target"], "kind": "hardware"}
    assert make(device=device, target=target).device.latency_us is not None


def test_samples_must_add_up() -> None:
    samples = {**document()["samples"], "done": 990, "missing": [[10, 20]]}
    assert make(samples=samples, status="partial").samples.missing == ((10, 20),)
    with pytest.raises(ValidationError, match="contradicts the missing samples"):
        make(samples=samples)
    with pytest.raises(ValidationError, match="990 done and 5 missing of 1000"):
        make(samples={**samples, "missing": [[10, 15]]}, status="partial")


def test_the_table_shows_device_and_host_side_by_side() -> None:
    text = _printed(make(), layers=True)
    for expected in (
        "device: netduinoplus2",
        "host: LiteRT 2.3.0, 1 thread",
        "nothing here is a latency",
        "9,000,000 (8,000,000 to 10,000,000)",
        "4.50",
        "12.5 us (p95 14 us)",
        "90.2 %",
        "90.1 %",
        "60,000 B (58.6 KiB)",
        "616 B",
        "1,000 samples, 12,000 output bytes against tflite-micro 0.dev1: all equal",
        "ep_conv_2d_s8",
    ):
        assert expected in text
    latency = next(line for line in text.splitlines() if "latency, median" in line)
    assert re.search(r"latency, median\s+-\s+12\.5 us", latency)


def test_a_failed_parity_is_said_with_the_first_difference() -> None:
    first = {"sample": 3, "output": 0, "index": 7, "actual": -4, "expected": 5}
    parity = {
        **document()["parity"],
        "mismatched_bytes": 2,
        "max_abs_diff": 9.0,
        "first_mismatch": first,
    }
    report = make(parity=parity)
    for text in (_printed(report), render_html(report)):
        assert "2 bytes differ; first at sample 3, output 0, element 7: got -4, expected 5" in text


def test_a_partial_run_says_what_is_missing() -> None:
    samples = {**document()["samples"], "done": 989, "missing": [[10, 20], [999, 1000]]}
    failure = {"error": "device_lost_error", "message": "the port vanished", "exit_code": 13}
    text = _printed(make(samples=samples, status="partial", failure=failure))
    assert "989 of 1,000 samples from kws01.npz; missing: 10-19, 999 (edgepack bench --resume" in (
        text.replace("\n", " ")
    )
    assert "stopped  the port vanished" in text


def test_the_page_is_whole_escaped_and_needs_no_network() -> None:
    model = {**document()["model"], "name": "<script>alert(1)</script>"}
    page = render_html(make(model=model))
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"https?:|src=|href=|url\(|@import", page)
    assert "58.6 KiB" in page and "90.2 %" in page and "width:100.0%" in page


def test_two_runs_are_compared_figure_by_figure() -> None:
    sizes = document()["sizes"]
    sizes["flash_bytes"] = {**sizes["flash_bytes"], "total": 45_000}
    device = {**document()["device"], "instructions": None}
    after = make(sizes=sizes, device=device, runtime="tflm")
    comparison = compare_runs(make(), after)
    rows = {row.name: row for row in comparison.rows}
    assert rows["flash, total"].change == "-25.0 %"
    assert rows["flash, total"].ratio == 0.75
    assert rows["instructions, median"].change == "-"
    assert rows["accuracy on the device"].change == "="
    assert "device latency, median" not in rows
    assert comparison.notes == ("different runtimes: c and tflm",)
    stream = io.StringIO()
    show_comparison(comparison, Console(file=stream, width=120))
    assert "kws on netduinoplus2 (c) -> kws on netduinoplus2 (tflm)" in stream.getvalue()


def test_figures_read_well() -> None:
    assert [microseconds(v) for v in (None, 0.5, 999.0, 1500.0, 2.5e6)] == [
        "-", "0.5 us", "999 us", "1.5 ms", "2.5 s",
    ]  # fmt: skip
    assert size(10_239) == "10,239 B" and size(10_240) == "10,240 B (10.0 KiB)"


def phone(**changes: Any) -> dict[str, Any]:
    """A phone's part of run.json."""
    state = {
        "thermal_status": 1,
        "cpu_celsius": 61.0,
        "battery_percent": 55,
        "battery_celsius": 31.5,
        "charging": False,
        "battery_saver": False,
        "clock_khz": 2_800_000,
    }
    return {
        "serial": "R5<b>8",
        "name": "Maker Phone 5",
        "soc": "SoC 7",
        "android": "14",
        "abi": "arm64-v8a",
        "emulated": False,
        "program": "benchmark_model",
        "variant": "XNNPACK (539 of 548 nodes)",
        "flags": ["--use_xnnpack=true"],
        "cpu_mask": "80",
        "governor": "schedutil",
        "latency_us": None,
        "average_us": 145_528.0,
        "warmup_runs": 3,
        "peak_memory_kb": 75_172,
        "before": state,
        "after": state,
        "warnings": ["the phone is throttled & warm"],
        "ops": [{"op": "CONV_2D", "name": "net/conv", "average_us": 812.5, "calls": 1}],
        **changes,
    }


def on_phone(**changes: Any) -> RunReport:
    target = {**document()["target"], "id": "Maker Phone 5", "kind": "phone", "clock_hz": None}
    return make(target=target, sizes=None, phone=phone(**changes))


def test_a_phone_has_its_part_on_the_page() -> None:
    page = render_html(on_phone())
    for words in (
        "<h2>Phone</h2>",
        "benchmark_model (XNNPACK (539 of 548 nodes)); cores 7; governor schedutil",
        "3 inferences of warm-up left out; mean 145.5 ms",
        "clock 2800 MHz, thermal status 1, CPU 61 C, battery 55 %",
        "warning: the phone is throttled &amp; warm",
        "--use_xnnpack=true",
        "<td>CONV_2D</td><td>net/conv</td>",
        "812.5 us",
    ):
        assert words in page, words
    assert "R5&lt;b&gt;8" in page and "<b>" not in page
    assert "<h2>Phone</h2>" not in render_html(make())


def test_what_makes_two_runs_on_phones_differ() -> None:
    own = phone(program="edgepack", variant="dotprod", flags=[], average_us=None, cpu_mask=None)
    target = on_phone().target.model_dump()
    after = make(target=target, sizes=None, phone={**own, "warnings": []})
    comparison = compare_runs(on_phone(), after)
    for note in (
        "different programs: benchmark_model (XNNPACK (539 of 548 nodes)) and edgepack (dotprod)",
        "different cores: mask 80 and any",
        "the first run's times: the phone is throttled & warm",
    ):
        assert note in comparison.notes, note
    assert not any("governors" in note for note in comparison.notes)
    rows = {row.name: (row.before, row.after) for row in comparison.rows}
    assert rows["mean by benchmark_model"] == ("145.5 ms", "-")
    assert rows["memory of the process"][0].startswith("76,976,128 B")


def test_the_table_of_runs_leaves_out_what_nobody_has() -> None:
    plain, mobile = make(), on_phone()
    both = overview([Line("netduinoplus2", plain), Line("x", mobile), Line("lost", None, "gone")])
    assert both.titles[0] == "on" and {"instructions", "latency", "host"} <= set(both.titles)
    assert both.rows[1][both.titles.index("latency")] == "mean 145.5 ms"
    assert both.rows[2][0] == "lost" and both.rows[2][-1] == "failed: gone"
    one = overview([Line("x", mobile)])
    assert "flash [B]" not in one.titles and one.rows[0][0] == "kws on Maker Phone 5"
