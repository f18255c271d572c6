"""Rewrites of the IR: one per file, listed by name in flows.py. The default flow is lossless."""
