"""A float `.tflite` and its plan as a TensorFlow function that can be trained.

The plan is the one that `apply` carries out, so the points where values are rounded, shared scales
and the types of weights are those of the integer model by construction. BatchNorm is folded in a
`.tflite` already: what is trained are the folded weights, with its statistics frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import UnsupportedError
from edgepack.quantize import qat_ops
from edgepack.quantize.books import has_book
from edgepack.quantize.layers import weight_form
from edgepack.quantize.observe import Key
from edgepack.quantize.params import QParams, along, best_clip
from edgepack.quantize.plan import OpKey, Plan, Range
from edgepack.quantize.policy import WEIGHTED, Kind, few_outputs, kind_of, stores_signs
from edgepack.quantize.qat_numbers import Value
from edgepack.quantize.qat_range import MAX_FACTOR, LearnedRange
from edgepack.quantize.qat_signs import Book, SignOutput
from edgepack.quantize.schemes import OpScheme
from edgepack.types import Array

_SHOWN = 6
_WITHOUT = (
    "quantize it without --qat: --recipe recurrent keeps the gates of LSTM and GRU in int16, "
    "--adaptive-rounding and --bias-correction need no training, --max-drop 0.5 raises what is left"
)
_LEAST_CLIP = 1e-12  # of weights that are all 0


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
        position: in the graph.
        op: TFLite's name.
        name: of the output.
        inputs, output: tensors.
        constants: the inputs' values where they are constant.
        options: the schema's.
        shape: of the output for one sample.
        scheme: None for one that touches no floats.
    """

    position: int
    op: str
    name: str
    inputs: tuple[int, ...]
    output: int
    constants: tuple[Array | None, ...]
    options: Any
    shape: tuple[int, ...]
    scheme: OpScheme | None

    def constant(self, slot: int) -> Array | None:
        """The constant of an input, if it has one."""
        return self.constants[slot] if slot < len(self.constants) else None

    @property
    def has_few_outputs(self) -> bool:
        """Whether its outputs are signs or trits."""
        return self.scheme is not None and few_outputs(self.op, self.scheme) is not None

    @property
    def stores_signs(self) -> bool:
        """Whether it keeps only the sign of its sums."""
        return self.scheme is not None and stores_signs(self.op, self.scheme)


def nodes_of(model: Any, plan: Plan) -> list[Node]:
    """The operators of a model that can be trained.

    Raises:
        UnsupportedError: an operator that cannot, by name.
    """
    editor, graph = Editor(model), model.subgraphs[0]
    found, problems = [], []
    for position, operator in enumerate(graph.operators):
        op = editor.name(operator)
        inputs = tuple(int(i) for i in operator.inputs)
        output = int(operator.outputs[0])
        name = editor.tensor_name(graph, output)
        constants = tuple(editor.constant(graph, i) for i in inputs)
        shape = editor.shape(graph, output)
        scheme = plan.schemes.get((0, position))
        node = Node(
            position, op, name, inputs, output, constants, operator.builtinOptions, shape, scheme
        )
        if all(c is not None for c in constants) and scheme is None:
            continue
        channels = (editor.shape(graph, inputs[0]) or (1,))[-1]
        trouble = _trouble(node, channels)
        if trouble:
            problems.append(f"{op} {name!r}: {trouble}")
        found.append(node)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UnsupportedError(
            "this model cannot be fine-tuned: " + "; ".join(problems[:_SHOWN]) + more,
            allowed=f"the operators {', '.join(sorted(qat_ops.KNOWN))}",
            next_step=_WITHOUT,
        )
    return found


def _trouble(node: Node, channels: int) -> str | None:
    if node.op not in qat_ops.KNOWN:
        return "no gradient is known for it here"
    if node.op in WEIGHTED and node.constants[WEIGHTED[node.op].weights] is None:
        return "its weights are computed"
    if not node.shape or node.shape[0] != 1:
        return f"its output {list(node.shape)} has no batch axis of 1"
    return qat_ops.trouble(node.op, channels, node.constants, node.options)


class Simulation:
    """The trainable model.

    Args:
        data: the float `.tflite`.
        plan: for it.
        fixed: tensors whose range the user has given; they are not learned.
    """

    def __init__(self, data: bytes, plan: Plan, fixed: Sequence[str] = ()) -> None:
        self._data, self._plan = data, plan
        model = read_model(data)
        if len(model.subgraphs) > 1:
            raise UnsupportedError(
                "this model has loops (rolled LSTM, GRU), which cannot be fine-tuned",
                next_step=_WITHOUT,
            )
        self.graph, self.editor = model.subgraphs[0], Editor(model)
        self.nodes = nodes_of(model, plan)
        self.inputs = [int(i) for i in self.graph.inputs]
        self.outputs = [int(i) for i in self.graph.outputs]
        self.weights: dict[int, Any] = {}
        self.clips: dict[OpKey, Any] = {}
        self.clip_starts: dict[OpKey, Array] = {}
        self.books: dict[OpKey, Book] = {}
        self.signs: dict[OpKey, SignOutput] = {}
        self.ranges: dict[int, LearnedRange] = {}
        self._of = self._classes()
        self._make(frozenset(fixed))

    # -- variables ----------------------------------------------------------------------------

    def _classes(self) -> dict[int, int]:
        """Tensor -> the one that stands for all that share its scale."""
        parent: dict[int, int] = {}

        def root(t: int) -> int:
            while parent.get(t, t) != t:
                t = parent[t]
            return t

        tensors = self._plan.tensors
        for node in self.nodes:
            if node.scheme is None or node.scheme.is_float or kind_of(node.op) is not Kind.SAME:
                continue
            for slot, tensor in enumerate(node.inputs):
                here = tensors.get((0, tensor))
                shared = self._plan.slots.get((0, node.position, slot))
                if here is not None and here == shared == tensors.get((0, node.output)):
                    parent[root(node.output)] = root(tensor)
        return {t: root(t) for (g, t), params in tensors.items() if g == 0 and params}

    def _make(self, fixed: frozenset[str]) -> None:
        import keras

        names = {t: self.editor.tensor_name(self.graph, t) for t in self._of}
        given = {self._of[n.output] for n in self.nodes if kind_of(n.op) is Kind.FIXED
                 and n.output in self._of}  # fmt: skip
        given |= {self._of[n.output] for n in self.nodes if n.has_few_outputs}
        given |= {self._of[t] for t, name in names.items() if name in fixed}
        for tensor in sorted(set(self._of.values())):
            params = self._plan.tensors[0, tensor]
            assert params is not None
            self.ranges[tensor] = LearnedRange(params, learned=tensor not in given)
        for node in self.nodes:
            if node.op not in qat_ops.WEIGHTED:
                continue
            slots = WEIGHTED[node.op]
            for slot in (slots.weights, slots.bias):
                value = node.constants[slot] if slot < len(node.inputs) else None
                if value is not None and node.inputs[slot] not in self.weights:
                    self.weights[node.inputs[slot]] = keras.Variable(value)
            if node.scheme is not None and not node.scheme.is_float:
                start = _clip_start(node)
                self.clip_starts[0, node.position] = start
                self.clips[0, node.position] = keras.Variable(np.zeros_like(start))
                self._make_bits(node, start)

    def _make_bits(self, node: Node, clip: Array) -> None:
        """Variables of a layer with a book, or that stores signs."""
        assert node.scheme is not None
        slots, key = WEIGHTED[node.op], (0, node.position)
        weights, bias = (node.constant(slot) for slot in (slots.weights, slots.bias))
        grid, _ = weight_form(node.op, node.scheme)
        assert weights is not None
        if grid.book and has_book(weights.shape):
            self.books[key] = Book(weights / clip, grid.book)
        if node.stores_signs:
            source = self.slot(node, slots.x)
            assert source is not None
            offset = np.zeros(weights.shape[slots.axis]) if bias is None else bias
            offset = offset / (clip.reshape(-1) * source.scale)
            self.signs[key] = SignOutput(offset, self._pooled(node))

    def _pooled(self, node: Node) -> int:
        """Of how many of a node's outputs a max-pool behind it takes the largest."""
        for reader in self.nodes:
            if reader.op == "MAX_POOL_2D" and reader.inputs[0] == node.output:
                return int(reader.options.filterHeight * reader.options.filterWidth)
        return 1

    def trainable(self) -> list[Any]:
        """The variables, in a fixed order: weights and biases, clips, ranges."""
        found = [self.weights[k] for k in sorted(self.weights)]
        found += [self.clips[k] for k in sorted(self.clips)]
        found += [self.books[k].centres for k in sorted(self.books)]
        found += [self.signs[k].shift for k in sorted(self.signs)]
        for tensor in sorted(self.ranges):
            if self.ranges[tensor].learned:
                found += self.ranges[tensor].variables
        return found

    def statistics(self) -> list[Any]:
        """The variables that training changes without a gradient."""
        return [v for k in sorted(self.signs) for v in self.signs[k].statistics]

    # -- computing ----------------------------------------------------------------------------

    def run(
        self, inputs: Sequence[Any], *, quantized: bool = True, watch: dict[int, Any] | None = None
    ) -> dict[int, Value]:
        """All tensors for a batch.

        Args:
            inputs: float32, one per input.
            quantized: False computes as the float model.
            watch: in training; gets each class's real values before they are rounded, for moving
                averages.
        """
        grids = {t: r.grid() for t, r in self.ranges.items()} if quantized else {}
        from edgepack.quantize.qat_run import Run

        run = Run(self, grids, watch)
        for tensor, value in zip(self.inputs, inputs, strict=True):
            run.values[tensor] = run.placed(tensor, Value(value))
        for node in self.nodes:
            run.values[node.output] = run.node(node)
        return run.values

    def scores(self) -> int:
        """The tensor to compute a loss on: the input of a final softmax or sigmoid, or output 0."""
        last = self._maker(self.outputs[0])
        return last.inputs[0] if last is not None and self.activation else self.outputs[0]

    @property
    def activation(self) -> str | None:
        """SOFTMAX or LOGISTIC where the model ends in one."""
        last = self._maker(self.outputs[0])
        return last.op if last is not None and last.op in ("SOFTMAX", "LOGISTIC") else None

    def _maker(self, tensor: int) -> Node | None:
        return next((n for n in self.nodes if n.output == tensor), None)

    def grid_for(self, tensor: int) -> int | None:
        """The class of a tensor that is quantized."""
        return self._of.get(tensor)

    def class_of(self, tensor: int) -> int:
        """The class of a tensor that is known to be quantized."""
        return self._of[tensor]

    def slot(self, node: Node, slot: int) -> QParams | None:
        """How an operator wants to read an input."""
        return self._plan.slots.get((0, node.position, slot))

    def same_as_tensor(self, node: Node, slot: int) -> bool:
        """Whether an operator reads a tensor as it is stored."""
        key = (0, node.inputs[slot])
        return key in self._plan.tensors and self._plan.tensors[key] == self.slot(node, slot)

    def clip(self, key: OpKey) -> Any:
        """The largest magnitude of an operator's weights."""
        import tensorflow as tf

        bounded = tf.clip_by_value(self.clips[key], -MAX_FACTOR, MAX_FACTOR)
        return self.clip_starts[key] * tf.exp(bounded)

    # -- result -------------------------------------------------------------------------------

    def trained_model(self) -> bytes:
        """The float model with the trained weights, clipped as in training."""
        model = read_model(self._data)
        editor, graph = Editor(model), model.subgraphs[0]
        values = {t: np.asarray(v) for t, v in self.weights.items()}
        for node in self.nodes:
            if (0, node.position) in self.clips:
                tensor = node.inputs[WEIGHTED[node.op].weights]
                clip = np.asarray(self.clip((0, node.position)))
                clipped = np.clip(values[tensor], -clip, clip)
                values[tensor] = _exported(node, clipped, self.books.get((0, node.position)))
            if (0, node.position) in self.signs:
                values |= self._sign_layer(editor, graph, node)
        for tensor, value in values.items():
            graph.tensors[tensor].buffer = editor.add_buffer(np.asarray(value, np.float32))
        return write_model(model)

    def _sign_layer(self, editor: Editor, graph: Any, node: Node) -> dict[int, Array]:
        """The bias of a layer that stores signs, by tensor: between two whole sums.

        Its weights have a factor of 1 for this, as `Layer.sign_bias` divides by it again.
        """
        slots, source = WEIGHTED[node.op], self._input_scale(node)
        inputs = list(node.inputs)
        if slots.bias >= len(inputs) or inputs[slots.bias] < 0:
            inputs += [-1] * (slots.bias + 1 - len(inputs))
            name = f"{node.name}_sign_bias"
            zeros = np.zeros(self.signs[0, node.position].offset().shape, np.float32)
            inputs[slots.bias] = editor.add_constant(graph, zeros, name)
            graph.operators[node.position].inputs = np.array(inputs, np.int32)
        offset = self.signs[0, node.position].offset().astype(np.float64)
        return {inputs[slots.bias]: np.asarray((offset + 0.5) * source, np.float32)}

    def _input_scale(self, node: Node) -> float:
        from edgepack.quantize.qat_run import Run

        grids = {t: r.grid() for t, r in self.ranges.items()}
        grid = Run(self, grids, None).source(node, WEIGHTED[node.op].x)
        return float(grid.scale)

    def trained_ranges(self) -> dict[Key, Range]:
        """Ranges from which `make_plan` makes the grids of the simulation."""
        return {
            (0, t): self.ranges[root].exported()
            for t, root in self._of.items()
            if self.ranges[root].learned
        }

    def params(self) -> dict[Key, QParams]:
        """The grids as they are now."""
        return {(0, t): self.ranges[root].params() for t, root in self._of.items()}


def _exported(node: Node, weights: Array, book: Book | None) -> Array:
    """Trained weights so that rounding them again gives the integers of the training."""
    assert node.scheme is not None
    grid, axis = weight_form(node.op, node.scheme)
    if not grid.is_coarse:  # the largest one alone decides of the scale
        return weights
    others = tuple(i for i in range(weights.ndim) if i != axis)
    scales = np.abs(weights).max(axis=others).reshape(-1) / np.float32(grid.largest)
    wide = along(np.where(scales > 0, scales, np.float32(1.0)), weights.ndim, axis)
    if book is None:
        units = grid.nearest(weights.astype(np.float64) / wide)
    else:
        units = np.asarray(book.units(weights / wide))
    return np.asarray(units if node.stores_signs else units * wide, np.float32)


def _clip_start(node: Node) -> Array:
    """Where the weights' clips begin: the largest weight, or with few levels the least error."""
    assert node.scheme is not None
    grid, axis = weight_form(node.op, node.scheme)
    weights = node.constants[WEIGHTED[node.op].weights]
    assert weights is not None
    if grid.is_coarse:
        found = best_clip(weights, grid, axis)
    else:
        others = tuple(i for i in range(weights.ndim) if i != axis)
        found = np.abs(weights).max(axis=others, keepdims=True)
    return np.asarray(np.maximum(found, _LEAST_CLIP), np.float32)
