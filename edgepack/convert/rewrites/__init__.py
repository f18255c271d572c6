"""Rewrites of a `.tflite` that keep what it computes: one per file, listed in `table.REWRITES`."""
