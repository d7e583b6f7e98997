"""The root of every error that this package raises on purpose."""

_LIST_ITEM = "\n  "
# What PyTorch, oneDNN, cuBLAS, cuDNN, the system, and Python of threads say, in RuntimeErrors, and of nothing else.
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
    """Something the user can act on: the message names the file or option and says what to do.

    Each room derives its own specific types. Command lines print the message alone, as they do for what the system
    refuses; any other exception is a defect of the package and keeps its traceback.
    """


class DuplicateNameError(RetinaAdaptError):
    """What is to be registered, a backbone, a part of one, a degradation or a preset, has a name that is taken."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether memory, the machine's or an accelerator's, or what is allowed of it, was too little."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
    )


def printable(text: str) -> str:
    """The text with escapes for what would end its line or steer a terminal: names of files hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_list(text: str) -> str:
    """As `printable`, but for the ends of lines before an indented one: messages of ours end in lists of such lines."""
    return _LIST_ITEM.join(printable(line) for line in text.split(_LIST_ITEM))


def in_one_line(error: RetinaAdaptError | OSError) -> str:
    """What a command line prints of an error. The system names the file and the reason, but no remedy."""
    remedy = "; check the path, its permissions and the free space" if isinstance(error, OSError) else ""
    return f"error: {printable_list(str(error))}{remedy}"
