"""SVDF as quantization sees it: int8 in and out, int16 state and weights over time.

Which inputs are which, and the scales of its constants, as TFLite's integer kernel takes them:
`state = x * feature weights` on the state's scale, `output = sum(state * time weights) + bias` with
an int32 sum and a bias on the scale of state x time weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.types import Array

SVDF_OP = "SVDF"
_RELU = 1  # of ActivationFunctionType in TFLite's schema
_WIDE = 32767.0  # the largest int16 weight or state
_SUM = 2.0**30  # the largest sum; what is left of 32 bits is the bias's


@dataclass(frozen=True)
class _Slots:
    x: int = 0
    feature: int = 1
    time: int = 2
    bias: int = 3
    state: int = 4


SVDF_SLOTS = _Slots()


def check_svdf(operator: Any, name: str) -> None:
    """Refuse an SVDF that cannot be evaluated here.

    Raises:
        UnsupportedError: its activation is not ReLU, which LiteRT's integer kernel demands.
    """
    if int(operator.builtinOptions.fusedActivationFunction) != _RELU:
        raise UnsupportedError(
            f"SVDF {name!r} has no fused ReLU, and LiteRT, which evaluates it here, has no other "
            "integer kernel",
            next_step="keep it in float: a rule with this scope and the scheme float",
        )


def time_scale(weights: Array, rank: int) -> np.float32:
    """The scale of the weights over time, symmetric int16, such that no sum leaves 32 bits.

    Args:
        weights: [filters, steps].
        rank: filters per output.
    """
    largest = float(np.abs(weights).max(initial=0.0))
    sums = np.abs(weights).reshape(-1, rank * weights.shape[1]).sum(axis=1)
    least = max(largest / _WIDE, float(sums.max(initial=0.0)) * _WIDE / _SUM)
    return np.float32(least if least > 0 else 1.0)
