"""Cycles from a stated model: how often each basic block ran, times a table of its core.

Neither a measurement nor a latency. No model knows caches, flash wait states or bus contention.
"""

from edgepack.cycles.probe import CycleProbe, prepare
from edgepack.cycles.tables import TABLES, CycleTable

__all__ = ["TABLES", "CycleProbe", "CycleTable", "prepare"]
