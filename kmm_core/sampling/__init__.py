"""Iterative masked decoding."""
