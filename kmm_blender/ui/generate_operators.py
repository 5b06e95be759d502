"""Operators around generation; each calls one function and reports what became of it."""

from __future__ import annotations

import random

import bpy
from bpy.props import EnumProperty, IntProperty

from kmm_core.errors import KmmError

from .. import session
from ..scene import history, take_record, takes
from ..scene.request_builder import build_plan
from ..scene.rig import in_edit_mode
from ..scene.take_maker import Target
from .preferences import preferences
from .prompt_list import active_prompt
from .properties import MAX_SEED
from .reporting_operator import ReportingOperator


class _TakesOperator(ReportingOperator):
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if not takes.waiting(context.scene):
            cls.poll_message_set("No takes are waiting: generate some, or restore one from the history")
            return False
        if reason := takes.locked(context.scene):
            cls.poll_message_set(reason)
            return False
        return True


class KMM_OT_generate(ReportingOperator, bpy.types.Operator):
    """Generate takes for all prompts that are switched on. Blender stays usable meanwhile; nothing changes until the takes are finished"""

    bl_idname = "kmm.generate"
    bl_label = "Generate"

    @classmethod
    def poll(cls, context):
        return _can_generate(cls, context)

    def run(self, context):
        chosen = preferences()
        session.get().start(build_plan(context, model=chosen.model_name, device=chosen.device_name))


class KMM_OT_regenerate_block(ReportingOperator, bpy.types.Operator):
    """Generate the selected prompt again, with a new seed; all other frames of the take that is shown stay as they were generated"""

    bl_idname = "kmm.regenerate_block"
    bl_label = "Regenerate Selected"

    @classmethod
    def poll(cls, context):
        if not _can_generate(cls, context):
            return False
        prompt, data = active_prompt(context.scene.kmm), context.scene.kmm.armature.animation_data
        if prompt is None or not prompt.enabled:
            cls.poll_message_set("The selected prompt is switched off")
            return False
        if not takes.summary(data.action if data else None):
            cls.poll_message_set("The armature plays no take: generate all prompts first")
            return False
        return True

    def run(self, context):
        settings, chosen = context.scene.kmm, preferences()
        session.get().start(
            build_plan(
                context,
                model=chosen.model_name,
                device=chosen.device_name,
                seed=_new_seed(settings.seed),
                block=min(settings.active_prompt, len(settings.prompts) - 1),
            )
        )


class KMM_OT_cancel(bpy.types.Operator):
    """Stop generating; the scene stays as it is"""

    bl_idname = "kmm.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context):
        if not session.get().busy:
            cls.poll_message_set("Nothing is being generated")
            return False
        return True

    def execute(self, context):
        session.get().cancel()
        return {"FINISHED"}


class KMM_OT_new_seed(bpy.types.Operator):
    """Choose another seed, so that the same prompts give another motion"""

    bl_idname = "kmm.new_seed"
    bl_label = "New Seed"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        context.scene.kmm.seed = _new_seed(context.scene.kmm.seed)
        return {"FINISHED"}


class KMM_OT_show_take(_TakesOperator, bpy.types.Operator):
    """Show this take on the armature; nothing is decided yet"""

    bl_idname = "kmm.show_take"
    bl_label = "Show Take"

    index: IntProperty(
        name="Index", description="Number of the take from 0; -1 shows the armature as it was before", min=-1
    )

    @classmethod
    def description(cls, context, properties):
        if properties.index < 0:
            return "Show the armature as it was before the takes; the takes keep waiting"
        return cls.__doc__

    def run(self, context):
        takes.show(context.scene, self.index)


class KMM_OT_accept_take(_TakesOperator, bpy.types.Operator):
    """Keep the take that is shown, with what you changed in it, and remove the others; the history keeps them. Your own Actions stay unchanged"""

    bl_idname = "kmm.accept_take"
    bl_label = "Accept"

    accept_as: EnumProperty(
        name="As",
        description="What Accept makes of the take",
        items=(
            ("SCENE", "As Chosen", "As chosen in the panel"),
            ("ACTION", "Action", "Assign the take's Action"),
            ("NLA", "NLA Strip", "Put the take on an NLA track of its own"),
        ),
        default="SCENE",
    )

    @classmethod
    def poll(cls, context):
        if not super().poll(context):
            return False
        if takes.shown(context.scene) is None:
            cls.poll_message_set("Show the take to keep first")
            return False
        return True

    def run(self, context):
        chosen = context.scene.kmm.accept_as if self.accept_as == "SCENE" else self.accept_as
        accepted = takes.accept(context.scene, chosen)
        where = f"the NLA track {accepted.track}" if accepted.track else "the armature's Action"
        self.report({"INFO"}, f"{accepted.action.name} is {where}. {accepted.note}".rstrip())


class KMM_OT_reject_takes(_TakesOperator, bpy.types.Operator):
    """Remove all takes, with any keys that you set on them, and put the armature back as it was. The history keeps the takes as they were generated"""

    bl_idname = "kmm.reject_takes"
    bl_label = "Reject"

    def run(self, context):
        takes.reject(context.scene)


class _HistoryOperator(ReportingOperator):
    index: IntProperty(name="Index", description="Number of the earlier take, the newest first", min=-1)

    @classmethod
    def poll(cls, context):
        if not context.scene.kmm_history.entries:
            cls.poll_message_set("The history is empty")
            return False
        return True


class KMM_OT_restore_take(_HistoryOperator, bpy.types.Operator):
    """Show this earlier take again, exactly as it was generated, on the armature that is chosen now"""

    bl_idname = "kmm.restore_take"
    bl_label = "Restore"

    @classmethod
    def poll(cls, context):
        return super().poll(context) and _can_take(cls, context)

    def run(self, context):
        scene, entries = context.scene, context.scene.kmm_history.entries
        if not 0 <= self.index < len(entries):
            raise KmmError(
                "no_take", f"The history has {len(entries)} takes; number {self.index + 1} was asked for."
            )
        record = take_record.decode(entries[self.index].record)
        session.get().restore(Target.of(scene, scene.kmm.armature), record)


class KMM_OT_delete_history(_HistoryOperator, bpy.types.Operator):
    """Forget this earlier take, which makes the file smaller; if it was accepted, its Action stays"""

    bl_idname = "kmm.delete_history"
    bl_label = "Forget Earlier Take"
    bl_options = {"REGISTER", "UNDO"}

    def run(self, context):
        history.forget(context.scene, self.index)


class KMM_OT_dismiss_error(bpy.types.Operator):
    """Clear this message"""

    bl_idname = "kmm.dismiss_error"
    bl_label = "Dismiss"
    bl_options = {"REGISTER"}

    def execute(self, context):
        session.get().dismiss()
        return {"FINISHED"}


def _can_generate(operator, context) -> bool:
    """Whether a generation can start; else the operator's button says why not."""
    if not _can_take(operator, context):
        return False
    if not any(prompt.enabled for prompt in context.scene.kmm.prompts):
        operator.poll_message_set("No prompt is switched on: add one in the Prompts panel")
        return False
    return True


def _can_take(operator, context) -> bool:
    """Whether the armature can get takes now; else the operator's button says why not."""
    armature = context.scene.kmm.armature
    if session.get().busy:
        operator.poll_message_set("A generation is under way: wait for it or cancel it")
    elif armature is None or not armature.users_scene:
        operator.poll_message_set("No character is chosen: choose an armature or add a KMM Character")
    elif armature.library is not None:
        operator.poll_message_set("The armature is linked: make a library override of it")
    elif in_edit_mode(armature):
        operator.poll_message_set("Leave Edit Mode first")
    elif reason := takes.blocked(context.scene, armature):
        operator.poll_message_set(reason)
    else:
        return True
    return False


def _new_seed(seed: int) -> int:
    """Another one; short, because people write seeds down."""
    while True:
        other = random.SystemRandom().randint(0, min(9999, MAX_SEED))
        if other != seed:
            return other


register, unregister = bpy.utils.register_classes_factory(
    (
        KMM_OT_generate,
        KMM_OT_regenerate_block,
        KMM_OT_cancel,
        KMM_OT_new_seed,
        KMM_OT_show_take,
        KMM_OT_accept_take,
        KMM_OT_reject_takes,
        KMM_OT_restore_take,
        KMM_OT_delete_history,
        KMM_OT_dismiss_error,
    )
)
