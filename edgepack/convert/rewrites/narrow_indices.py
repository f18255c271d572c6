"""INT64 indices of GATHER and GATHER_ND -> INT32, with what computes them.

ONNX and Keras count in INT64, and converters add an axis's length to negative indices; runtimes for
microcontrollers index with INT32 and have no INT64 arithmetic. Exact: an index that INT32 does not
hold lies outside every tensor.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor

_INT32 = np.iinfo(np.int32)
# what converters do with indices, and has INT32 kernels
_ARITHMETIC = ("ADD", "CAST", "FLOOR_MOD", "LESS", "MUL", "RESHAPE", "SELECT_V2", "SUB")


def apply(editor: Editor) -> int:
    """Narrow them where they fit."""
    count = 0
    for site in editor.sites("GATHER", "GATHER_ND"):
        inputs = editor.inputs(site)
        made = _Narrowed(editor, site.graph).tensor(inputs[1])
        if made is not None and made != inputs[1]:
            inputs[1] = made
            site.operator.inputs = np.array(inputs, np.int32)
            count += 1
    return count


class _Narrowed:
    """INT32 tensors beside the INT64 ones that indices are computed from."""

    def __init__(self, editor: Editor, graph: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.editor, self.graph, self.schema = editor, graph, schema
        self.types = schema.TensorType
        self.made: dict[int, int] = {}

    def tensor(self, index: int) -> int | None:
        """The INT32 tensor of the same numbers; None where a constant does not fit."""
        if index not in self.made:
            found = self._narrow(index)
            if found is None:
                return None
            self.made[index] = found
        return self.made[index]

    def _narrow(self, index: int) -> int | None:
        editor, graph = self.editor, self.graph
        if graph.tensors[index].type != self.types.INT64:
            return self._computed(index) if self._reads_int64(index) else index
        value = editor.constant(graph, index)
        if value is not None:
            if value.size and (value.min() < _INT32.min or value.max() > _INT32.max):
                return None
            name = editor.tensor_name(graph, index)
            return editor.add_constant(graph, value.astype(np.int32), name)
        maker = editor.producer(graph, index)
        if maker is not None and editor.name(maker.operator) in _ARITHMETIC:
            return self._computed(index)
        return self._cast(index)

    def _reads_int64(self, index: int) -> bool:
        """Whether an operator on indices, such as a comparison, makes this of INT64."""
        maker = self.editor.producer(self.graph, index)
        if maker is None or self.editor.name(maker.operator) not in _ARITHMETIC:
            return False
        return any(
            self.graph.tensors[i].type == self.types.INT64 or self._reads_int64(i)
            for i in self.editor.inputs(maker)
            if i >= 0
        )

    def _computed(self, index: int) -> int | None:
        """The operator that makes a tensor once more, on INT32."""
        editor, graph = self.editor, self.graph
        maker = editor.producer(graph, index)
        assert maker is not None
        if editor.name(maker.operator) == "CAST":
            (source,) = editor.inputs(maker)
            if graph.tensors[source].type == self.types.INT32:
                return source
            if graph.tensors[source].type not in (self.types.BOOL, self.types.INT64):
                return self._cast(source)
        inputs = [self.tensor(i) for i in editor.inputs(maker)]
        if None in inputs:
            return None
        made = self._beside(index)
        operator = copy.copy(maker.operator)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([made], np.int32)
        if editor.name(operator) == "CAST":
            operator.builtinOptions = self._cast_options(inputs[0], made)
        self._insert(operator)
        return made

    def _cast(self, index: int) -> int:
        made = self._beside(index)
        options = self._cast_options(index, made)
        self._insert(self.editor.operator("CAST", [index], [made], options))
        return made

    def _beside(self, index: int) -> int:
        name = f"{self.editor.tensor_name(self.graph, index)}/int32"
        made = self.editor.add_tensor(self.graph, self.editor.shape(self.graph, index), index, name)
        if self.graph.tensors[made].type != self.types.BOOL:
            self.graph.tensors[made].type = self.types.INT32
        return made

    def _cast_options(self, source: int | None, target: int) -> Any:
        options = self.schema.CastOptionsT()
        assert source is not None
        options.inDataType = self.graph.tensors[source].type
        options.outDataType = self.graph.tensors[target].type
        return options

    def _insert(self, operator: Any) -> None:
        """Put an operator behind the last of those that make its inputs."""
        needed = {int(i) for i in operator.inputs}
        places = [
            place
            for place, other in enumerate(self.graph.operators)
            if needed & {int(i) for i in other.outputs}
        ]
        self.graph.operators.insert(max(places, default=-1) + 1, operator)
