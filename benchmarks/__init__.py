"""Benchmarks of lstmcore beside its peers: run from the checkout as ``python -m benchmarks``."""
