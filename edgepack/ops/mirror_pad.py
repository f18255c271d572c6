"""MIRROR_PAD: a border that mirrors the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import MOVED, check_moved, kernel_suffix
from edgepack.ops.shared.padding import MAX_PAD_DIMS, padded_shape, read_paddings
from edgepack.types import Array, Shape

_MODES = ("REFLECT", "SYMMETRIC")  # TFLite's MirrorPadMode 0 and 1


@dataclass(frozen=True)
class MirrorPadAttributes(Attributes):
    """REFLECT leaves the border element out of the mirror image, SYMMETRIC repeats it."""

    mode: str = "REFLECT"


class MirrorPad(Op):
    """A padding may be as large as the image that it mirrors, no larger."""

    name = "MIRROR_PAD"
    types = MOVED
    arity = (2, 2)
    notes = "constant paddings"

    def attributes(self, options: Any) -> Attributes:
        return MirrorPadAttributes(_MODES[options.mode])

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        edge = self._edge(view)
        for dim, (size, pair) in enumerate(
            zip(view.input(0).shape, read_paddings(view), strict=True)
        ):
            if max(pair) > size - edge:
                raise unsupported(
                    view,
                    f"padding {max(pair)} of dimension {dim} is larger than what "
                    f"{_MODES[1 - edge]} can mirror ({size - edge})",
                )
        if len(self._split(view)[0]) > MAX_PAD_DIMS:
            raise unsupported(view, f"more than {MAX_PAD_DIMS} dimensions")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (padded_shape(view),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        mode: Any = "reflect" if self._edge(view) else "symmetric"
        return (ensure_shape(np.pad(inputs[0], read_paddings(view), mode), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        outer, inner = self._split(view)
        # Merging would mirror elements of several dimensions as one, so only `inner` is merged.
        fill = (1,) * (MAX_PAD_DIMS - len(outer))
        paddings = read_paddings(view)[: len(outer)]
        sizes = tuple(low + n + high for n, (low, high) in zip(outer, paddings, strict=True))
        before = tuple(low for low, _ in paddings)
        params = Params(
            "ep_mirror_pad_params",
            (
                ("pad.out", fill + sizes),
                ("pad.in", fill + outer),
                ("pad.before", (0,) * len(fill) + before),
                ("edge", self._edge(view)),
                ("inner", inner),
            ),
        )
        return KernelCall(
            f"ep_mirror_pad_{kernel_suffix(view.output().dtype)}",
            "ep_pad.h",
            (params, Input(0), Output(0)),
            reason=f"mirrors runs of {inner} elements",
        )

    def _edge(self, view: NodeView) -> int:
        assert isinstance(view.node.attrs, MirrorPadAttributes)
        return 1 if view.node.attrs.mode == "REFLECT" else 0

    def _split(self, view: NodeView) -> tuple[Shape, int]:
        """The dimensions up to the last padded one, and the elements of those behind it."""
        shape, paddings = view.input(0).shape, read_paddings(view)
        rank = max((d + 1 for d, pair in enumerate(paddings) if pair != (0, 0)), default=0)
        return shape[:rank], math.prod(shape[rank:])
