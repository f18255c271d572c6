"""Chips and boards: what is known about them, each fact with its source."""

from edgepack.targets.board import Board
from edgepack.targets.loader import load_target, load_targets, soc_names, target_names
from edgepack.targets.record import Kind, Verified
from edgepack.targets.soc import Memory, Soc
from edgepack.targets.target import Target

__all__ = [
    "Board",
    "Kind",
    "Memory",
    "Soc",
    "Target",
    "Verified",
    "load_target",
    "load_targets",
    "soc_names",
    "target_names",
]
