"""Instructions of dense layers and convolutions with every weight stored, and without zeros.

Fitted to counts on emulated boards (Cortex-M4, M55, M3, M0+; -O2; benchmarks/sparse_kernels.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ops.shared.kernel import Isa

# Of kernels that store every weight: per multiply-accumulate and per output. That of cores with
# 32-bit products alone stands under `mul32`.
_PLAIN = {
    "ep_fully_connected_s8_dsp": (1.1, 15.0),
    "ep_fully_connected_s8_mve": (0.15, 5.0),
    "ep_fully_connected_s8_mul": (1.95, 35.0),
    "ep_fully_connected_s8": (7.0, 35.0),
    "ep_conv2d_s8_dsp": (0.87, 15.0),
    "ep_conv2d_s8_mve": (0.13, 3.0),
    "ep_conv2d_s8_mul": (1.1, 26.0),
    "ep_conv2d_s8": (9.0, 35.0),
}
_MUL32 = {
    "ep_fully_connected_s8_mul": (3.85, 50.0),
    "ep_conv2d_s8_mul": (2.9, 70.0),
}


@dataclass(frozen=True)
class SparseCosts:
    """Instructions of the sparse kernels.

    Args:
        dense: per entry, by weights of an entry; conv: the same for four positions.
        output: per output; gather: per byte of a window.
    """

    dense: dict[int, float]
    conv: dict[int, float]
    output: float
    gather: float


_DSP = SparseCosts({1: 4.55, 4: 12.0}, {1: 13.3, 4: 28.5}, 28.0, 1.5)
_MVE = SparseCosts({1: 4.55, 4: 11.0}, {1: 19.0, 4: 27.0}, 30.0, 1.5)
_MUL32_SPARSE = SparseCosts({1: 9.5, 4: 30.0}, {1: 22.0, 4: 80.0}, 105.0, 3.4)
_PORTABLE = SparseCosts({1: 7.05, 4: 22.0}, {1: 14.0, 4: 50.0}, 46.0, 1.45)


def sparse_costs(isa: Isa) -> SparseCosts:
    """Those of a core."""
    if isa.has("mve"):
        return _MVE
    if isa.has("dsp"):
        return _DSP
    return _MUL32_SPARSE if _mul32(isa) else _PORTABLE


def is_known(function: str) -> bool:
    """Whether anything is known of a kernel that stores every weight."""
    return function in _PLAIN


def plain_instructions(function: str, macs: int, outputs: int, isa: Isa | None = None) -> float:
    """What a kernel that stores every weight takes; one per multiply-accumulate if not known.

    Args:
        function: of the kernel.
        macs: multiply-accumulates.
        outputs: elements.
        isa: None takes the faster of two cores that have a kernel of this name.
    """
    table = _PLAIN
    if isa is not None and _mul32(isa):
        table = {**_PLAIN, **_MUL32}
    per_mac, per_output = table.get(function, (1.0, 20.0))
    return per_mac * macs + per_output * outputs


def _mul32(isa: Isa) -> bool:
    """Whether a core has 32-bit products alone."""
    return isa.has("mul32") and not isa.has("mul64")
