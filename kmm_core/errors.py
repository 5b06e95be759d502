"""The only errors a user sees: a code for programs, a sentence for people, and what to do next."""


class KmmError(Exception):
    """An expected failure, shown to the user as one line and never as a traceback.

    Args:
        code: stable machine-readable word, for example ``"bad_bvh"`` or ``"timeline_overlap"``.
        message: what was given and what was expected, one sentence.
        hint: what to do about it, one sentence; may be empty.
    """

    def __init__(self, code: str, message: str, hint: str = ""):
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


def lacks_memory(error: Exception) -> bool:
    """Whether memory ran out: torch says so in a RuntimeError, in other words on the CPU and on a graphics card."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text
