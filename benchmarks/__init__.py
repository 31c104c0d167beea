"""Benchmarks of lstmcore beside its peers.

``python -m benchmarks`` in a source checkout, ``python -m lstmcore bench`` anywhere: a wheel
carries this folder as ``lstmcore._cli.benchmarks``. So everything in it is imported relatively.
"""
