"""Between a MotionClip and Blender's scene: rigs, retargeting, F-curves, takes."""
