"""Benchmarks of edgepack itself; `make bench` runs them."""
