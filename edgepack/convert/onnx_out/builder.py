"""The ONNX graph under construction: values, their layout, and the pairs that quantize them.

Every int8 tensor of the `.tflite` becomes float -> QuantizeLinear -> DequantizeLinear with its own
scale and zero point (ONNX Runtime's "QDQ" form). Images are held NCHW, as ONNX's operators need
them; where an operator wants the `.tflite`'s own order, a Transpose with a pair of its own follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor, Site
from edgepack.errors import UnsupportedError
from edgepack.types import Array, DType, Shape

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
FLOAT = 1  # TensorProto.FLOAT
ALLOWED = "int8 and float tensors; quantize the model to int8 first"


class Builder:
    """Collects nodes and constants for one `.tflite` graph."""

    def __init__(self, editor: Editor, *, apart: bool = False) -> None:
        """Begin.

        Args:
            editor: of the `.tflite`.
            apart: let every operator read graph inputs in the place of what the ones before made,
                so that it can be compared by itself; `made` then lists what each computes.
        """
        self.editor, self.apart = editor, apart
        self.made: list[tuple[int, str, bool]] = []
        self.graph = editor.model.subgraphs[0]
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        # (tensor, whether it is held channels first) -> the name of its float value
        self._values: dict[tuple[int, bool], str] = {}
        self._names: set[str] = set()

    def name(self, wanted: str) -> str:
        """A name that is not taken."""
        name, number = wanted, 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name

    def label(self, tensor: int) -> str:
        """The `.tflite`'s name of a tensor."""
        return self.editor.tensor_name(self.graph, tensor) or f"tensor_{tensor}"

    def shape(self, tensor: int) -> Shape:
        """The `.tflite`'s shape of a tensor."""
        return self.editor.shape(self.graph, tensor)

    def dtype(self, tensor: int) -> DType:
        """The element type of a tensor.

        Raises:
            UnsupportedError: one that ONNX's pairs have no form for here.
        """
        found = self.editor.dtype(self.graph, tensor)
        if found not in (DType.INT8, DType.FLOAT32, DType.INT32, DType.BOOL):
            raise UnsupportedError(
                f"tensor {self.label(tensor)} is {found.value if found else 'of no known type'}",
                allowed=ALLOWED,
            )
        return found

    def node(self, op: str, inputs: Sequence[str], label: str, **attributes: Any) -> str:
        """Add an operator with one output; the name of that."""
        from onnx import helper

        output = self.name(label)
        self.nodes.append(
            helper.make_node(op, list(inputs), [output], name=f"{op}/{output}", **attributes)
        )
        return output

    def constant(self, value: Array, label: str) -> str:
        """Add an initializer; its name."""
        from onnx import numpy_helper

        name = self.name(label)
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def quantization(self, tensor: int) -> tuple[Array, Array, int] | None:
        """Scales, zero points and axis of a tensor; None for a float."""
        raw = self.graph.tensors[tensor].quantization
        if raw is None or raw.scale is None or len(raw.scale) == 0:
            return None
        scale = np.asarray(raw.scale, np.float32)
        zero = np.zeros(len(scale), np.int64)
        if raw.zeroPoint is not None and len(raw.zeroPoint) == len(scale):
            zero = np.asarray(raw.zeroPoint, np.int64)
        return scale, zero, int(raw.quantizedDimension)

    def weights(self, tensor: int, value: Array, axis: int, label: str) -> str:
        """A quantized constant behind DequantizeLinear, or a float one as it is.

        Args:
            tensor: whose quantization holds.
            value: its value in the order of axes that ONNX wants.
            axis: the axis of `value` that the scales count along.
            label: what to call it.
        """
        quantization = self.quantization(tensor)
        if value.dtype == np.float32 or quantization is None:
            return self.constant(value, label)
        scale, zero, _ = quantization
        stored = self.constant(value, f"{label}/stored")
        shape: Shape = (len(scale),) if len(scale) > 1 else ()
        factors = self.constant(scale.reshape(shape), f"{label}/scale")
        zeros = self.constant(zero.astype(value.dtype).reshape(shape), f"{label}/zero_point")
        more = {"axis": axis} if len(scale) > 1 else {}
        return self.node("DequantizeLinear", [stored, factors, zeros], label, **more)

    def set(self, tensor: int, value: str, *, first: bool = False, is_input: bool = False) -> None:
        """Say which float value a tensor is; quantized ones pass through their pair here."""
        paired = self.pair(value, tensor)
        first = first and len(self.shape(tensor)) == 4
        if not self.apart or is_input:
            self._values[tensor, first] = paired
            return
        self.made.append((tensor, paired, first))
        self._values[tensor, False] = self.name(f"{self.label(tensor)}/given")
        if first:
            self.get(tensor, first=True)

    def given(self) -> dict[int, str]:
        """The graph inputs that stand for what operators made, where they are taken apart."""
        return {tensor: self._values[tensor, False] for tensor, _, _ in self.made}

    def pair(self, value: str, tensor: int) -> str:
        """A float value after rounding to the steps of a tensor."""
        quantization = self.quantization(tensor)
        if quantization is None or self.dtype(tensor) is not DType.INT8:
            return value
        scale, zero, _ = quantization
        if len(scale) != 1:
            raise UnsupportedError(f"tensor {self.label(tensor)} is quantized per channel")
        label = self.label(tensor)
        ends = [
            self.constant(scale.reshape(()), f"{label}/scale"),
            self.constant(zero.astype(np.int8).reshape(()), f"{label}/zero_point"),
        ]
        stored = self.node("QuantizeLinear", [value, *ends], f"{label}/int8")
        return self.node("DequantizeLinear", [stored, *ends], f"{label}/value")

    def held_first(self, tensor: int) -> bool:
        """Whether a tensor is at hand channels first."""
        return (tensor, True) in self._values

    def get(self, tensor: int, *, first: bool = False) -> str:
        """The name of a tensor's float value in a layout; constants become initializers."""
        first = first and len(self.shape(tensor)) == 4
        found = self._values.get((tensor, first))
        if found is not None:
            return found
        other = self._values.get((tensor, not first))
        if other is None:
            made = self._constant_value(tensor, first)
        else:
            perm = TO_FIRST if first else TO_LAST
            label = f"{self.label(tensor)}/{'nchw' if first else 'nhwc'}"
            made = self.pair(self.node("Transpose", [other], label, perm=perm), tensor)
        self._values[tensor, first] = made
        return made

    def _constant_value(self, tensor: int, first: bool) -> str:
        value = self.editor.constant(self.graph, tensor)
        if value is None:
            raise UnsupportedError(
                f"tensor {self.label(tensor)} is neither written nor a constant of a type that "
                "ONNX output knows"
            )
        quantization = self.quantization(tensor)
        axis = quantization[2] if quantization else 0
        if first:
            value, axis = value.transpose(TO_FIRST), TO_FIRST.index(axis)
        return self.weights(tensor, value, axis, self.label(tensor))

    def integers(self, site: Site, position: int) -> list[int]:
        """A constant integer input of an operator, such as a shape.

        Raises:
            UnsupportedError: it is computed.
        """
        tensor = self.editor.inputs(site)[position]
        value = self.editor.constant(self.graph, tensor)
        if value is None:
            raise UnsupportedError(
                f"input {position} of {self.editor.name(site.operator)} is computed at run time",
                allowed="a constant",
            )
        return [int(v) for v in value.reshape(-1)]
