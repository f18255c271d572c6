"""The debugger finds the operator that was made bad; the search raises no more than it must."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.cli import run
from edgepack.convert.flatbuffer import read_model
from edgepack.quantize.debug import Diagnosis, diagnose
from edgepack.quantize.debug_runs import Watched, decibels, output_noise, reference_outputs
from edgepack.quantize.params import QParams
from edgepack.quantize.ptq import PtqOptions, PtqResult, calibrate, quantize
from edgepack.quantize.rules import Rule, uniform
from edgepack.quantize.search import Mixture, search
from edgepack.quantize.units import computes, only, units
from edgepack.types import Array, DType
from tests.quantize.samples import FOLDER
from tests.quantize.small_float import small_float, write_digits

NETWORK = small_float()
UNEQUAL = 200.0
OPTIONS = PtqOptions()


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    with np.load(FOLDER / "digits.npz") as arrays:
        return arrays["x"].astype(np.float32)[..., None] / 16, arrays["y"]


@pytest.fixture(scope="module")
def rows(digits: tuple[Array, Array]) -> list[tuple[Array, ...]]:
    return [(row[None],) for row in digits[0][:150]]


def test_the_figures_of_one_tensor() -> None:
    seen = Watched((0, 0))
    exact, got = np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 2.5])
    seen.add(exact, got, QParams(DType.INT8, 2.5 / 127, 0))
    assert seen.sqnr_db == pytest.approx(10 * np.log10(14 / 0.25))
    assert seen.max_abs == 0.5
    assert (seen.low, seen.high, seen.beyond, seen.count) == (-2.0, 3.0, 1, 3)
    assert seen.cosine == pytest.approx(exact @ got / np.sqrt((exact @ exact) * (got @ got)))
    assert decibels(1.0, 0.0) is None


@pytest.fixture(scope="module")
def spoiled(rows: list[tuple[Array, ...]]) -> tuple[str, Diagnosis]:
    """One operator's range is pinned far too narrow, and the debugger asked."""
    calibrated = calibrate(NETWORK, rows[:40], OPTIONS)
    bad = replace(OPTIONS, pins={"second": (0.0, 0.2)})
    return "second", diagnose(calibrated, bad, quantize(calibrated, bad), rows[40:56])


def test_saturation_is_seen_where_it_happens(spoiled: tuple[str, Diagnosis]) -> None:
    victim, found = spoiled
    by_name = {o.name: o for o in found.operators}
    worst = by_name[victim]
    assert worst.saturated > 0.1
    assert by_name["pooled"].saturated > 0.1, "it shares the range"
    assert by_name["first"].saturated == 0
    assert any("beyond its range" in line for line in worst.why)
    assert worst.storable is not None and worst.seen[1] > worst.storable[1]
    assert found.samples == 16


def test_unequal_channels_are_blamed_and_repaired(rows: list[tuple[Array, ...]]) -> None:
    bad = small_float(unequal=UNEQUAL)
    calibrated = calibrate(bad, rows[:40], OPTIONS)
    result = quantize(calibrated, OPTIONS)
    found = diagnose(calibrated, OPTIONS, result, rows[40:56], float_model=bad)
    worst = found.operators[0]
    assert worst.name == "first"
    assert worst.channel_spread is not None and worst.channel_spread > UNEQUAL / 4
    assert any("widest output channel" in line for line in worst.why)
    assert any("mostly its activations" in line for line in worst.why)
    best = found.attempts[0]
    assert best.repair == "equalize" and best.gain_db > 10


def test_a_repair_gains_what_it_says(rows: list[tuple[Array, ...]]) -> None:
    calibrated = calibrate(NETWORK, rows[:40], OPTIONS)
    per_tensor = PtqOptions(rules=uniform("int8-per-tensor"))
    result = quantize(calibrated, per_tensor)
    found = diagnose(calibrated, per_tensor, result, rows[40:56], float_model=NETWORK, suspects=2)
    reference = reference_outputs(calibrated.data, rows[40:56])
    assert found.sqnr_db == output_noise(result.data, rows[40:56], reference)
    split = next(a for a in found.attempts if a.repair == "int8")
    rules = per_tensor.rules.plus(only(split.name, "int8"))
    other = quantize(calibrated, replace(per_tensor, rules=rules))
    assert split.sqnr_db == pytest.approx(output_noise(other.data, rows[40:56], reference), abs=3)
    assert "equalize" in {a.repair for a in found.attempts}
    assert json.loads(json.dumps(found.as_dict()))["samples"] == 16


def test_units_take_what_moves_their_output(rows: list[tuple[Array, ...]]) -> None:
    calibrated = calibrate(NETWORK, rows[:5], OPTIONS)
    result = quantize(calibrated, OPTIONS)
    found = units(read_model(calibrated.data), result.plan)
    named = [name for unit in found for name in (unit.name, *unit.followers)]
    assert sorted(named) == sorted(name for _, name in result.plan.names.values())
    assert all(computes(unit.op) and unit.macs > 0 for unit in found)


def test_rules_name_one_operator() -> None:
    rule = only("a/b;c+d", "float")
    assert rule.matches("ADD", "a/b;c+d")
    assert not rule.matches("ADD", "a/b;c+d1") and not rule.matches("ADD", "xa/b;c+d")
    assert rule == Rule("float", r"^a/b;c\+d$")


class Bench:
    """Counts what the search measures; the accuracy is the share of unchanged decisions."""

    def __init__(self, rows: list[tuple[Array, ...]], data: bytes) -> None:
        from edgepack.quantize.tune import _outputs

        self.rows, self.outputs, self.calls = rows, _outputs, 0
        self.wanted = _outputs(data, rows).argmax(axis=1)

    def __call__(self, result: PtqResult) -> float:
        self.calls += 1
        got = self.outputs(result.data, self.rows).argmax(axis=1)
        return float(100 * (got == self.wanted).mean())


def mixture(rows: list[tuple[Array, ...]], bound: float) -> tuple[Mixture, Bench]:
    options = PtqOptions(rules=uniform("int4"))
    calibrated = calibrate(NETWORK, rows[:40], options)
    bench = Bench(rows[40:], calibrated.data)
    return search(calibrated, options, rows[40:], bench, 100.0, bound), bench


def test_the_search_meets_the_bound_with_less_than_everything(
    rows: list[tuple[Array, ...]],
) -> None:
    found, bench = mixture(rows, 4.0)
    assert found.first.drop > 4.0, "the test needs a model that four bits break"
    assert found.met
    assert 100.0 - bench(found.result) == found.drop <= 4.0
    whole = max(found.trials, key=lambda t: len(t.raised))
    assert 0 < len(found.last.raised) < len(whole.raised)
    # none of the raises can be taken back
    for gone in found.last.raised:
        rest = tuple(r for r in found.last.raised if r != gone)
        tried = [t for t in found.trials if t.raised == rest]
        assert tried and tried[0].drop > 4.0


def test_nothing_is_raised_without_need(rows: list[tuple[Array, ...]]) -> None:
    found, bench = mixture(rows, 100.0)
    assert found.met and found.last.raised == () and bench.calls == 1
    assert found.as_dict()["bytes_added"] == 0


def test_the_command_searches_and_explains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.tflite").write_bytes(NETWORK)
    write_digits(tmp_path / "d.npz", 200, 50)
    code = run(
        ["quantize", str(tmp_path / "m.tflite"), "--data", str(tmp_path / "d.npz"), "--scheme",
         "int4", "--calibration-samples", "40", "--max-drop", "5", "--debug", "-o",
         str(tmp_path / "q.tflite"), "--json"]
    )  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["max_drop"]["samples"] == 160
    assert document["max_drop"]["met"] == (document["max_drop"]["drop_points"] <= 5)
    integer = [o for o in document["operators"] if o["scheme"] != "float"]
    assert len(document["debug"]["operators"]) == len(integer)
    assert document["rules"] == document["max_drop"]["rules"]
    assert any("160 samples" in line for line in document["warnings"])


def test_a_search_evens_out_channels_before_it_raises_operators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_digits(tmp_path / "d.npz", 1000, 100)
    arguments = ["quantize", str(FOLDER / "mobile.tflite"), "--data", str(tmp_path / "d.npz")]
    arguments += ["--max-drop", "1", "-o", str(tmp_path / "m.tflite"), "--json"]
    assert run(arguments) == 0
    found = json.loads(capsys.readouterr().out)["max_drop"]
    assert found["given_drop_points"] > 50
    assert found["equalized"] and found["met"]
    assert found["last"]["raised"] == [] and found["bytes_added"] == 0
