"""The only errors a user sees: a code for programs, a sentence for people, and a hint what to do next."""


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


# The third is torch's wording on Windows. 1455 is Windows' error number, in any language: the paging file is too small.
_NO_MEMORY = ("allocate memory", "out of memory", "not enough memory", "error 1455")


def lacks_memory(error: Exception) -> bool:
    """Whether memory ran out. torch raises a RuntimeError then, worded differently on the CPU and on a graphics card."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)
