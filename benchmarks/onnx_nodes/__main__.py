"""Convert and run ONNX's node tests; write the table of docs/onnx_nodes.md.

    python -m benchmarks.onnx_nodes            all operators, about half an hour
    python -m benchmarks.onnx_nodes Conv Relu  some operators; the rows of the others stay
    python -m benchmarks.onnx_nodes --write    the page from onnx_nodes.json, nothing run

Every case of the onnx package (onnx.backend.test) whose operators TFLite Micro can express is
converted by `edgepack convert` and run by edgepack/ops/evaluate.py (the numpy meaning of what the
compiler emits), as generated C on this computer, and by TensorFlow Lite Micro's interpreter. Its
outputs must equal the expected ones within the case's own tolerances. Inputs that are parameters in
real models (weights, shapes, axes) are made constants first.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.onnx_nodes.cases import OPERATORS
from benchmarks.onnx_nodes.run import run_all
from benchmarks.onnx_nodes.table import DOC, merge, read, table, write


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operators", nargs="*")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    if not options.write:
        made = run_all(options.operators or OPERATORS)
        for case in made:
            if not case.passed:
                print(case.operator, case.name, case.why, sep=" | ")
        write(merge(read() if options.operators else [], made))
    DOC.write_text(table(read()), encoding="utf-8")


if __name__ == "__main__":
    main()
