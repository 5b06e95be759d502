"""Rotations, kinematics, retargeting, representations and foot contact."""
