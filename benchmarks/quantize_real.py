"""The quantizer on real networks: every method of calibration, every extra step, several draws.

`python -m benchmarks.quantize_real [NETWORK ...]` writes quantize_real.json. Each variant is run
with calibration samples that three seeds draw (of KWS, 100 of samples 0 to 199, which is all that
calibrates). Variants of the image classifier other than int8 as it is by default are run with one
seed, and on the first 2,000 of its 10,000 samples.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import data_dir
from benchmarks.quantize_data import Network, digits, ic, kws
from edgepack.quantize.columns import ends
from edgepack.quantize.ptq import PtqOptions, calibrate, quantize
from edgepack.quantize.ranges import METHODS
from edgepack.quantize.rules import PRESETS, Rules, uniform

RESULT = Path(__file__).with_name("quantize_real.json")
SEEDS = (0, 1, 2)
_RECURRENT = Rules((*uniform("int8").rules, *PRESETS["recurrent"]))
PLAIN = {"int8": PtqOptions()}
RANGES = {f"int8, {method}": PtqOptions(method=method) for method in METHODS if method != "minmax"}
STEPS = {
    "int8, equalize": PtqOptions(equalize=True),
    "int8, bias correction": PtqOptions(bias_correction=True),
    "int8, adaptive rounding": PtqOptions(adaptive_rounding=True),
    "int8-per-tensor": PtqOptions(rules=uniform("int8-per-tensor")),
    "int8-per-tensor, equalize": PtqOptions(rules=uniform("int8-per-tensor"), equalize=True),
    "int16x8": PtqOptions(rules=uniform("int16x8"), io=None),
    "int4": PtqOptions(rules=uniform("int4")),
    "int4, adaptive rounding": PtqOptions(rules=uniform("int4"), adaptive_rounding=True),
    "int4, adaptive rounding, bias correction, mse": PtqOptions(
        rules=uniform("int4"), adaptive_rounding=True, bias_correction=True, method="mse"
    ),
    "int2, adaptive rounding, bias correction": PtqOptions(
        rules=uniform("int2"), adaptive_rounding=True, bias_correction=True
    ),
}
LOOPS = {"int8, recipe recurrent": PtqOptions(rules=_RECURRENT)}
# input's tensor -> range: what is known of it rather than measured
PINNED = {
    "kws": {"int8, input pinned": {"": (-123.4, 25.8)}},
    "ic": {"int8, input pinned": {"": (0.0, 255.0)}},
}


def _digits(name: str, folder: Path) -> Network:
    del folder  # these lie in the checkout
    return digits(name)


NETWORKS: dict[str, tuple[Callable[[Path], Network], dict[str, PtqOptions], int, int | None]] = {
    # how to read it, variants, calibration samples, evaluated samples of all but the first variant
    "kws": (kws, {**PLAIN, **RANGES, **STEPS}, 100, None),
    "ic": (ic, {**PLAIN, **RANGES, **STEPS}, 200, 2000),
    "mobile": (partial(_digits, "mobile"), {**PLAIN, **RANGES, **STEPS}, 200, None),
    **{
        name: (partial(_digits, name), {**PLAIN, **LOOPS}, 200, None)
        for name in ("lstm", "lstm_unrolled", "lstm_fused", "gru", "gru_unrolled")
    },
}


def one(network: Network, options: PtqOptions, calibration: int, seed: int) -> bytes:
    """The quantized model."""
    calibrated = calibrate(network.data, network.drawn(calibration, seed), options)
    return quantize(calibrated, options).data


def variants(name: str, network: Network) -> dict[str, PtqOptions]:
    """Those of a network, with its pinned ranges."""
    found = dict(NETWORKS[name][1])
    first = ends(network.data)[0][0].name
    for title, pins in PINNED.get(name, {}).items():
        found[title] = replace(PtqOptions(), pins={first: pins[""]})
    return found


def run(name: str, network: Network) -> dict[str, Any]:
    """All variants of a network."""
    _, _, calibration, few = NETWORKS[name]
    exact = {count: network.judged(network.data, count) for count in {None, few}}
    found: dict[str, Any] = {
        "bytes": len(network.data),
        "calibration_samples": calibration,
        "float": exact[None].value,
        "variants": {},
    }
    if few is not None:
        found["float_first"] = {"samples": few, "value": exact[few].value}
    for title, options in variants(name, network).items():
        count = None if title == "int8" else few
        values, size = {}, 0
        # the whole test split three times is enough of what takes a quarter of an hour
        for seed in SEEDS if count is None else SEEDS[:1]:
            made = one(network, options, calibration, seed)
            values[str(seed)] = network.judged(made, count).value
            size = len(made)
        drops = [round(100 * (exact[count].value - v), 3) for v in values.values()]
        found["variants"][title] = {
            "samples": exact[count].n,
            "top1": values,
            "drop_points": drops,
            "bytes": size,
        }
        print(name, title, drops, flush=True)
    return found


def main() -> None:
    """Run the networks that are named, or all, and write the result."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real data is absent: set EDGEPACK_DATA")
    for name in sys.argv[1:] or list(NETWORKS):
        made = run(name, NETWORKS[name][0](folder))
        result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        result[name] = made
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
