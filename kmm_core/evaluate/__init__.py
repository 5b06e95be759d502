"""Evaluation: the evaluator network, its metrics, and geometric checks that need no network."""
