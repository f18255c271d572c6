"""What the user asks of the quantizer: the `[quantize]` table of edgepack.toml."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.ranges import DEFAULT_PERCENTILE, Method

Scheme = Literal[
    "int8",
    "int8-per-tensor",
    "int16x8",
    "int4",
    "int2",
    "binary",
    "ternary",
    "subbit",
    "dynamic",
    "float16",
]
Io = Literal["int8", "uint8", "int16", "float32"]
INTEGER_SCHEMES = tuple(s for s in get_args(Scheme) if s not in ("dynamic", "float16"))
# 0:200 is samples 0 to 199 in their order; a number draws so many
_SPAN = r"^\d*:\d*$"
Span = Annotated[str, Field(pattern=_SPAN)]


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RuleEntry:
    """One rule of a recipe (edgepack/quantize/rules.py)."""

    scheme: str
    scope: str = ""
    op: str = "*"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class QuantizeRecipe:
    """How to quantize; docs/quantize.md describes every key.

    Attributes:
        scheme: of every operator that no rule speaks of. `int8`: int8 activations (per tensor,
            asymmetric), int8 weights (per output channel, symmetric), int32 biases. `dynamic` and
            `float16` store the weights alone smaller, for phones.
        io: type of inputs and outputs; by default int8, and int16 for int16x8.
        calibration: how ranges of activations come from samples.
        percentile: for that method, in percent.
        calibration_samples: how many are drawn (with `seed`) from the training split, or which.
        evaluate: which samples are evaluated; by default the test split.
        recipe: a JSON file of rules, or the rules themselves; the last that matches counts.
        pin: ranges by tensor name that count instead of measured ones.
        equalize: move scales between layers so that channels have like ranges.
        bias_correction: take the mean error of each layer's weights out of its bias.
        adaptive_rounding: choose the rounding of weights by the error of the layer's output.
        qat: fine-tune as the integer kernels compute (edgepack/quantize/qat_options.py).
        max_drop: points of accuracy that may be lost; operators are raised to wider schemes, as
            few as it takes.
        debug: rank the operators that lose accuracy, and try repairs.
        metric: a function `file:function` of outputs and labels, or the built-in ones.
        top_k: how often a label is among so many of a classifier's largest outputs.
        seed: of every draw.
        timeout_s: bounds the conversion, in seconds.
    """

    scheme: Scheme = "int8"
    io: Io | None = None
    calibration: Method = "minmax"
    percentile: float = Field(default=DEFAULT_PERCENTILE, gt=50.0, le=100.0)
    calibration_samples: Annotated[int, Field(ge=1)] | Span = 200
    evaluate: Span | None = None
    recipe: str | Annotated[tuple[RuleEntry, ...], BeforeValidator(_listed)] | None = None
    pin: dict[str, tuple[float, float]] = Field(default_factory=dict)
    equalize: bool = False
    bias_correction: bool = False
    adaptive_rounding: bool = False
    qat: QatOptions | None = None
    max_drop: Annotated[float, Field(ge=0.0)] | None = None
    debug: bool = False
    metric: str | None = None
    top_k: int = Field(default=5, ge=2)
    seed: int = Field(default=0, ge=0)
    timeout_s: float = Field(default=600.0, gt=0.0)
