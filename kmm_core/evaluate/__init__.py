"""Evaluation: geometric checks that need no network."""
