"""Bidirectional Mamba generator of masked motion tokens."""
