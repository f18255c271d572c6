"""ARG_MIN: the index of the smallest element along one dimension."""

from __future__ import annotations

from edgepack.ops.shared.arg_extreme import ArgExtreme


class ArgMin(ArgExtreme):
    """The first of equal elements wins."""

    name = "ARG_MIN"
    kernel = "ep_arg_min"
    largest = False
