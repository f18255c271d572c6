"""Operators: one file per op; `edgepack.ops.table.OPS` is the explicit table."""
