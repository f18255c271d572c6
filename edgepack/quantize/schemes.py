"""The schemes that a rule can give to an operator: types of activations and weights."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.errors import ConfigError
from edgepack.quantize.params import (
    BINARY_WEIGHTS,
    BOOK_WEIGHTS,
    INT2_WEIGHTS,
    INT4_WEIGHTS,
    INT8_WEIGHTS,
    TERNARY_WEIGHTS,
    WeightGrid,
)
from edgepack.types import DType


@dataclass(frozen=True)
class OpScheme:
    """How one operator computes.

    Attributes:
        name: what a rule calls it.
        activation: element type of its inputs and outputs.
        weights: what its constant weights are stored as, where it has any.
        per_channel: whether weights have a scale per output channel instead of one in all.
        what: one line for a reader.
        sign: whether an ordinary convolution or dense layer stores only the sign of its sum.
        trit: whether it stores the nearest of -1, 0 and 1.
    """

    name: str
    activation: DType
    weights: WeightGrid
    per_channel: bool
    what: str
    sign: bool = False
    trit: bool = False

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantized."""
        return self.activation is DType.FLOAT32


def _few(name: str, weights: WeightGrid, what: str) -> tuple[OpScheme, ...]:
    """Weights of one bit or so, with outputs of int8, one bit, and three values."""
    where = f"{what} in ordinary convolutions and dense layers, else int8"
    signs = "the same, and only the sign of each sum is kept: outputs of -1 and 1"
    trits = "the same, and outputs are the nearest of -1, 0 and 1"
    return (
        OpScheme(name, _I8, weights, True, f"int8 activations, {where}"),
        OpScheme(f"{name}-sign", _I8, weights, True, signs, sign=True),
        OpScheme(f"{name}-trit", _I8, weights, True, trits, trit=True),
    )


_I8, _I16, _F32 = DType.INT8, DType.INT16, DType.FLOAT32
SCHEMES: dict[str, OpScheme] = {
    scheme.name: scheme
    for scheme in (
        OpScheme("int8", _I8, INT8_WEIGHTS, True, "int8, weights with a scale per output channel"),
        OpScheme("int8-per-tensor", _I8, INT8_WEIGHTS, False, "int8, weights with one scale"),
        OpScheme("int16x8", _I16, INT8_WEIGHTS, True, "int16 activations, int8 weights"),
        OpScheme(
            "int4",
            _I8,
            INT4_WEIGHTS,
            True,
            "int8 activations, int4 weights of convolutions and dense layers (per tensor in dense "
            "layers, which is what the kernels have); other operators as int8",
        ),
        OpScheme(
            "int2",
            _I8,
            INT2_WEIGHTS,
            True,
            "int8 activations, weights of ordinary convolutions and dense layers among four values "
            "(-3, -1, 1, 3 times a scale per output channel); other operators as int8",
        ),
        *_few("binary", BINARY_WEIGHTS, "weights of -1 and 1 times a scale per output channel"),
        *_few("ternary", TERNARY_WEIGHTS, "weights of -1, 0 and 1 times a scale"),
        *_few("subbit", BOOK_WEIGHTS, "binary weights, eight at a time out of 32 vectors"),
        OpScheme("float", _F32, INT8_WEIGHTS, False, "left in float32"),
    )
}


def scheme_named(name: str, where: str) -> OpScheme:
    """The scheme of this name.

    Raises:
        ConfigError: there is none; `where` says who asked for it.
    """
    if name not in SCHEMES:
        raise ConfigError(f"{where}: there is no scheme {name!r}", allowed=", ".join(SCHEMES))
    return SCHEMES[name]
