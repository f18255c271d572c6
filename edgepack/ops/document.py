"""docs/operators.md, written from the table: `python -m edgepack.ops.document`."""

from __future__ import annotations

import sys

from edgepack.ops.shared.base import Op
from edgepack.ops.support import any_type
from edgepack.ops.table import OPS
from edgepack.ops.tflm import TFLM_TYPES, tflm_types
from edgepack.types import DType

# suffix of a kernel's name -> what its cores have
VARIANTS = {
    "mul": "int8 with a plain multiplier (Cortex-M0, M0+, M3, RV32): packed operands",
    "dsp": "int8 with the DSP extension (Cortex-M4, M7, M33): SMLAD",
    "mve": "int8 with Helium (Cortex-M55)",
}

_HEAD = """# Operators

Written by `python -m edgepack.ops.document > docs/operators.md`; do not edit.

**C runtime**: the element types of the leading input that it has a kernel for; the last column has
the limits. `edgepack inspect MODEL` says the same about the operators of a model, and names what
would avoid those without a kernel. The results of integer kernels equal those of TFLite Micro in
every byte; where TFLite Micro has no kernel, LiteRT's reference kernel is the model.

**TFLite Micro** (`--runtime tflm`): of these types, those that its interpreter ran when the test
cases of the C runtime were given to it.

**Kernels**: `C` is portable C99. The others compute the same bytes:

"""

_TAIL = """
## What no operator takes

- **float16 tensors**: constants are converted when a DEQUANTIZE follows them; otherwise convert
  the model to float32 or int8.
- **Hybrid operators**, float activations with int8 weights (weight-only quantization): quantize the
  activations too.
- **uint8 arithmetic**, of models from before 2020: convert the model again, to int8.
- **Dynamic shapes**: convert the model with a fixed input shape, batch included.
- **Sparse tensors**: convert without sparsity. Pruned weights stay zeros.
- **Custom operators** and `Flex` operators: nothing can know what they compute.
"""


def operators_markdown() -> str:
    """The whole page."""
    variants = "".join(f"- `{name}`: {text}\n" for name, text in VARIANTS.items())
    rows = "".join(_row(OPS[name]) for name in sorted(OPS))
    header = "| operator | C runtime | TFLite Micro | kernels | limits |\n|---|---|---|---|---|\n"
    return f"{_HEAD}{variants}\n{header}{rows}{_TAIL}"


def _row(op: Op) -> str:
    kernels = ", ".join(("C", *op.variants))
    cells = (op.name, _ours(op), _tflm(op), kernels, op.notes.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |")


def _ours(op: Op) -> str:
    return "any" if any_type(op.name) else _names(op.types)


def _tflm(op: Op) -> str:
    if op.name not in TFLM_TYPES:
        return "no"
    if any_type(op.name):
        return "any"
    theirs = tflm_types(op.name)
    return "the same" if set(theirs) >= set(op.types) else _names(theirs)


def _names(types: tuple[DType, ...]) -> str:
    order = list(DType)
    return ", ".join(t.value.lower() for t in sorted(types, key=order.index))


if __name__ == "__main__":
    sys.stdout.write(operators_markdown())
