"""ARG_MAX: the index of the largest element along one dimension."""

from __future__ import annotations

from edgepack.ops.shared.arg_extreme import ArgExtreme


class ArgMax(ArgExtreme):
    """The first of equal elements wins."""

    name = "ARG_MAX"
    kernel = "ep_arg_max"
    largest = True
