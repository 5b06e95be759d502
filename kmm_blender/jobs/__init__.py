"""Work outside of Blender's process: the worker and the backend's installation. No bpy in here."""
