"""One recipe against its parts: MLPerf Tiny's image classifier by `edgepack compress --sweep`.

`python -m benchmarks.compression_sweep --work FOLDER [--final]` starts from the published network
and tries structured pruning alone, distillation alone and both in one recipe, each trained for as
many epochs on the same 45,000 images of CIFAR-10 as JPEG files hold it, quantized to int8 and run
on the emulated Cortex-M4; point 0 is int8 alone. The teacher is the control of
`benchmarks.compression_ic`, which must have run in FOLDER. Points are compared on 5,000 training
images held out; `--final` states the test split of all four. The result is compression_sweep.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.compression import TARGET, cifar, options, real_data, store
from benchmarks.compression_ic import CONTROL, HALF, fit
from edgepack.compress.grid import Recipe, points
from edgepack.models.dataset import write_dataset
from edgepack.pipeline.compress_device import COSTS
from edgepack.pipeline.sweep import sweep
from edgepack.pipeline.sweep_point import Asked
from edgepack.pipeline.sweep_result import taken
from edgepack.report.front_chart import draw

RESULT = Path(__file__).with_name("compression_sweep.json")
EPOCHS = 15
TEACHER = f"{CONTROL}/model.keras"  # in the folder of the trainings
# such a student has 56 % of the network's multiply-accumulates: more than what pruning leaves
WIDTH = 0.75
_TAUGHT = {"temperature": 4.0, "alpha": 0.9}


def recipes() -> tuple[Recipe, ...]:
    """The four that are compared with int8 alone."""
    labels = fit(EPOCHS, 2e-3, taught=False)
    taught = {**labels, "teacher": {"model": TEACHER, **_TAUGHT}}
    student = {"method": "distill", "teacher": TEACHER, "width": WIDTH, **_TAUGHT}
    smaller = {**HALF, "budget": {"instructions": 0.47}}
    return (
        Recipe((HALF, {"method": "finetune", "finetune": labels}), "structured"),
        Recipe(({**student, "finetune": labels},), "distilled"),
        Recipe((HALF, {"method": "finetune", "finetune": taught}), "structured and distilled"),
        Recipe((smaller, {"method": "finetune", "finetune": taught}), "smaller and distilled"),
    )


def _tell(stage: str, fraction: float | None, message: str) -> None:
    print(stage, fraction, message, file=sys.stderr, flush=True)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: row[name]["value"] for name in ("held_out", "test") if name in row
    }
    return found | {name: row[name] for name in (*COSTS, "macs", "mismatched_bytes", "steps")}


def main() -> None:
    """Run the sweep, or find it again."""
    asked = options(__doc__ or "", [])
    folder = real_data()
    if not (asked.work / TEACHER).is_file():
        sys.exit(f"no {TEACHER} in {asked.work}: run python -m benchmarks.compression_ic control")
    data = asked.work / "cifar.npz"
    if not data.is_file():
        write_dataset(data, cifar(folder))
    out = asked.work / "swept"
    wanted = Asked(
        folder / "mlperf_tiny" / "ic.h5",
        points(recipes()),
        str(data.resolve()),
        TARGET,
        out,
        folder=asked.work,
        timeout=asked.seconds,
    )
    document = sweep(wanted, _tell)
    draw(document, out)
    result = RESULT if asked.final else asked.work / RESULT.name
    for row in document["points"]:
        whole = taken(out, row["number"], _tell) if asked.final else row
        store(result, row["varied"].get("recipe", "int8"), _row(whole))
    print(json.dumps(document["front"]))


if __name__ == "__main__":
    main()
