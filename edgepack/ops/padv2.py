"""PADV2: PAD with a value."""

from __future__ import annotations

from edgepack.ops.pad import Pad


class PadV2(Pad):
    """Input 2 is the value; it may be computed at run time."""

    name = "PADV2"
