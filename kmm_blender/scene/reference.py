"""Reference: a datablock remembered across undo, renaming and time. Python's own references do not survive an undo."""

from __future__ import annotations

from dataclasses import dataclass

import bpy


@dataclass
class Reference:
    """A datablock by its session uid, found by name first because that is fast.

    Attributes:
        name: its latest name.
        uid: what Blender knows it by until the file is closed; undo and renaming keep it.
    """

    name: str
    uid: int

    @classmethod
    def to(cls, datablock: bpy.types.ID) -> Reference:
        """A reference to ``datablock``."""
        return cls(datablock.name, datablock.session_uid)

    def find(self, collection: bpy.types.bpy_prop_collection) -> bpy.types.ID | None:
        """The datablock in ``collection`` (such as ``bpy.data.objects``), or None where it is gone."""
        found = collection.get(self.name)
        if found is None or found.session_uid != self.uid:
            found = next((candidate for candidate in collection if candidate.session_uid == self.uid), None)
        if found is not None:
            self.name = found.name
        return found
