"""Panels, operators and properties: draw and collect, no decisions."""
