"""Training: one loop for all stages, one step function a stage."""
