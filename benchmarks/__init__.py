"""Measurements, each a command: ``python -m benchmarks.scan``, ``.generation``, ``.training``."""
