"""What stands between a MotionClip and Blender's scene: rigs, retargeting, F-curves, takes."""
