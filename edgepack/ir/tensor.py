"""Tensors of the IR: shape, element type, quantization and, for constants, the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class Quantization:
    """Affine quantization: real = scale * (q - zero_point).

    scale and zero_point have one entry, or one per index of dimension `axis`. Scales are float32
    values held as Python floats.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph.

    Args:
        id: unique within its graph; the index in the .tflite file for tensors that came from one.
        data: the constant's value in `shape` and `dtype.numpy`, or None for an activation.
        is_variable: state that survives from one inference to the next.
    """

    id: int
    name: str
    shape: Shape
    dtype: DType
    quant: Quantization | None = None
    data: Array | None = None
    is_variable: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in memory (int4 constants unpacked)."""
        return self.elements * self.dtype.itemsize

    @property
    def is_const(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        """The per-tensor scale.

        Raises:
            ValueError: the tensor is not quantized per tensor.
        """
        if self.quant is None or self.quant.per_channel:
            raise ValueError(f"tensor {self.name!r} has no per-tensor scale")
        return self.quant.scale[0]

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point; 0 for a tensor without quantization."""
        return self.quant.zero_point[0] if self.quant is not None else 0

    def describe(self) -> str:
        """Type and shape as messages and dumps show them: `INT8[1,49,10,1]`."""
        return f"{self.dtype.value}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False)
class BitTensor(Tensor):
    """A value of two numbers, a bit for each element (passes/pack_bits.py makes them).

    The shape is that of the elements. Those along the last dimension share bytes, of which each
    index of the other dimensions begins a new one; dtype is UINT8, what the bytes are. A value of
    three numbers has two such planes, one after the other (firmware/kernels/ep_bits.h).
    """

    planes: int = 1

    @property
    def nbytes(self) -> int:
        return self.planes * math.prod(self.shape[:-1]) * (-(-self.shape[-1] // 8))
