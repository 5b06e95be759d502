"""Text encoders behind one Protocol."""
