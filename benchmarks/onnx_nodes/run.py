"""Runs cases and collects what came of them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.onnx_nodes import engines
from benchmarks.onnx_nodes.cases import cases, fed, type_reason, with_constants
from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import EdgepackError
from edgepack.frontends.tflite import load_tflite
from edgepack.models.isolate import kept_child

SECONDS = 60.0


@dataclass(frozen=True)
class Case:
    """One test and what came of it: each field is empty where it passed, else says why not.

    `types`: why its tensors fit no runtime for microcontrollers; then nothing was tried.
    """

    operator: str
    name: str
    types: str = ""
    converted: str = ""
    numpy: str = ""
    c: str = ""
    tflm: str = ""

    @property
    def passed(self) -> bool:
        """Whether it converts and the generated C computes what is expected."""
        return not (self.types or self.converted or self.numpy or self.c)

    @property
    def why(self) -> str:
        """The first thing that went wrong."""
        return self.types or self.converted or self.numpy or self.c or self.tflm


def run_all(operators: Sequence[str], limit: int | None = None) -> list[Case]:
    """Run the cases of some operators; at most `limit` of each."""
    found: list[Case] = []
    models: list[engines.Model] = []
    seen: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, kept_child():
        for operator, test in cases(operators):
            seen[operator] = seen.get(operator, 0) + 1
            if limit is not None and seen[operator] > limit:
                continue
            case, model = convert_case(operator, test, Path(folder))
            found.append(case)
            models += [] if model is None else [model]
    results = engines.in_c(models)
    ran = {model.name: model for model in models}
    return [_ran(case, ran.get(case.name), results) for case in found]


def convert_case(operator: str, test: Any, folder: Path) -> tuple[Case, engines.Model | None]:
    """Convert one model."""
    import onnx

    case = Case(operator, test.name)
    inputs, outputs = test.data_sets[0]
    model, left = with_constants(operator, test, inputs)
    reason = type_reason(operator, model)
    if reason:
        return replace(case, types=reason), None
    path = folder / f"{test.name}.onnx"
    onnx.save(model, path)
    try:
        done = convert(path, folder, ConvertOptions(time_limit=SECONDS))
        graph = load_tflite(done.path).main
        moved = [entry["layout"] is not None for entry in done.report["source"]["inputs"]]
        given = [
            fed(np.moveaxis(np.asarray(a), 1, -1) if m else a, graph.tensors[t])
            for a, t, m in zip(left, graph.inputs, moved, strict=True)
        ]
    except EdgepackError as error:
        why = " ".join(error.message.split())[:160]
        return replace(case, converted=why), None
    finally:
        path.unlink()
    wanted = [np.asarray(array) for array in outputs]
    data = done.path.read_bytes()
    with contextlib.suppress(OSError):
        done.path.unlink()
    return case, engines.Model(test.name, data, given, wanted, test)


def _ran(case: Case, model: engines.Model | None, in_c: dict[str, str]) -> Case:
    if model is None:
        return case
    return replace(
        case, numpy=engines.in_numpy(model), c=in_c[model.name], tflm=engines.in_tflm(model)
    )
