"""The root of every error that this package raises on purpose."""


class RetinaAdaptError(Exception):
    """Something the user can act on: the message names the file or option and says what to do.

    Each room derives its own specific types. Command lines print the message alone, as they do for what the system
    refuses; any other exception is a defect of the package and keeps its traceback.
    """


class DuplicateNameError(RetinaAdaptError):
    """What is to be registered, a backbone, a part of one, a degradation or a preset, has a name that is taken."""


def printable(text: str) -> str:
    """The text with escapes for what would end its line or steer a terminal: names of files hold any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_one_line(error: RetinaAdaptError | OSError) -> str:
    """What a command line prints of an error. The system names the file and the reason, but no remedy."""
    remedy = "; check the path, its permissions and the free space" if isinstance(error, OSError) else ""
    return f"error: {error}{remedy}"
