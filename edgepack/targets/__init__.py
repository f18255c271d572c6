"""Chips and boards: what is known about them, each fact with its source."""

from edgepack.targets.app import AppTarget
from edgepack.targets.board import Board
from edgepack.targets.loader import (
    VARIABLE,
    app_names,
    load_app,
    load_target,
    load_targets,
    soc_names,
    target_names,
)
from edgepack.targets.record import Kind, Verified
from edgepack.targets.scaffold import Scaffold, scaffold_target
from edgepack.targets.soc import Memory, Soc
from edgepack.targets.target import Target

__all__ = [
    "VARIABLE",
    "AppTarget",
    "Board",
    "Kind",
    "Memory",
    "Scaffold",
    "Soc",
    "Target",
    "Verified",
    "app_names",
    "load_app",
    "load_target",
    "load_targets",
    "scaffold_target",
    "soc_names",
    "target_names",
]
