"""The base class of every error that this package raises on purpose, and how command lines print errors."""

_LIST_ITEM = "\n  "
# How RuntimeErrors of PyTorch, oneDNN, cuBLAS, cuDNN, the system and Python say that memory, or threads, ran out.
_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "could not create a memory",
    "status_alloc_failed",
    "can't start new thread",
)


class RetinaAdaptError(Exception):
    """An error that the user can act on: the message names the file or option and says what to do.

    Each room derives its own types. Command lines print the message alone, as they do for errors of the system; any
    other exception is a bug in the package and keeps its traceback.
    """


class DuplicateNameError(RetinaAdaptError):
    """A backbone, a part of one, a degradation or a preset was to be registered under a name that is taken."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that memory, the machine's or an accelerator's, or a limit set on it, was too small."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
    )


def printable(text: str) -> str:
    """Escape what would end the line or steer a terminal: file names may contain any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_list(text: str) -> str:
    """As `printable`, but keep line breaks before indented lines: some of our messages end in a list of these."""
    return _LIST_ITEM.join(printable(line) for line in text.split(_LIST_ITEM))


def in_one_line(error: RetinaAdaptError | OSError) -> str:
    """What a command line prints for an error, with a remedy for the system's, which name only file and reason."""
    remedy = "; check the path, its permissions and the free space" if isinstance(error, OSError) else ""
    return f"error: {printable_list(str(error))}{remedy}"
