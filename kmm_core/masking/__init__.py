"""Mask schedule and key-frame selection."""
