"""kmm-train: one file a command."""
