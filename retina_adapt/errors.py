"""The root of every error that this package raises on purpose."""


class RetinaAdaptError(Exception):
    """Something the user can act on: the message names the file or option and says what to do.

    Each room derives its own specific types. Command lines print the message alone, as they do for what the system
    refuses; any other exception is a defect of the package and keeps its traceback.
    """
