"""Element types and units shared by every part of edgepack."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class DType(Enum):
    """A TFLite element type; the value is TFLite's own name for it.

    INT4 tensors are held unpacked (one int8 per element) in the IR; `bits` says what is stored.
    """

    FLOAT32 = "FLOAT32"
    FLOAT16 = "FLOAT16"
    INT4 = "INT4"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    BOOL = "BOOL"
    RESOURCE = "RESOURCE"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype that holds one element."""
        return _NUMPY[self]

    @property
    def c(self) -> str:
        """The C99 type that holds one element, such as `int8_t`."""
        return _C[self]

    @property
    def itemsize(self) -> int:
        """Bytes of one element as held in memory."""
        return self.numpy.itemsize

    @property
    def suffix(self) -> str:
        """The suffix of kernel names for this type, such as `s8` or `f32`."""
        return _SUFFIX[self]

    @property
    def is_integer(self) -> bool:
        return self not in (DType.FLOAT32, DType.FLOAT16, DType.BOOL, DType.RESOURCE)


_NUMPY: dict[DType, np.dtype[Any]] = {
    DType.FLOAT32: np.dtype(np.float32),
    DType.FLOAT16: np.dtype(np.float16),
    DType.INT4: np.dtype(np.int8),
    DType.INT8: np.dtype(np.int8),
    DType.INT16: np.dtype(np.int16),
    DType.INT32: np.dtype(np.int32),
    DType.INT64: np.dtype(np.int64),
    DType.UINT8: np.dtype(np.uint8),
    DType.UINT16: np.dtype(np.uint16),
    DType.UINT32: np.dtype(np.uint32),
    DType.BOOL: np.dtype(np.bool_),
    DType.RESOURCE: np.dtype(np.int32),
}
_C = {
    DType.FLOAT32: "float",
    DType.FLOAT16: "uint16_t",
    DType.INT4: "int8_t",
    DType.INT8: "int8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.INT64: "int64_t",
    DType.UINT8: "uint8_t",
    DType.UINT16: "uint16_t",
    DType.UINT32: "uint32_t",
    DType.BOOL: "bool",
    DType.RESOURCE: "int32_t",
}
_SUFFIX = {
    DType.FLOAT32: "f32",
    DType.FLOAT16: "f16",
    DType.INT4: "s4",
    DType.INT8: "s8",
    DType.INT16: "s16",
    DType.INT32: "s32",
    DType.INT64: "s64",
    DType.UINT8: "u8",
    DType.UINT16: "u16",
    DType.UINT32: "u32",
    DType.BOOL: "b8",
    DType.RESOURCE: "res",
}
