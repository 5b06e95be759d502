"""Training: one loop for all stages, and one module per stage."""
