"""Memory planning: Graph and lowered calls -> MemoryPlan, a printable table of offsets."""
