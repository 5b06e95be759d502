"""What operators share that may fail in a way the user can mend: a KmmError is a report, not a traceback."""

from __future__ import annotations

from kmm_core.errors import KmmError


class ReportingOperator:
    """``run`` does the work."""

    bl_options = {"REGISTER"}

    def execute(self, context):
        try:
            self.run(context)
        except KmmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}
