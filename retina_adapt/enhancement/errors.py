"""What can go wrong with a request to enhance."""

from typing import Any, get_args

from retina_adapt.errors import RetinaAdaptError


class EnhancementInputError(RetinaAdaptError):
    """An input that the backbone or the mode cannot take."""


class EnhancementMemoryError(RetinaAdaptError):
    """Not enough memory, however small the tiles."""


def require_choice(name: str, value: object, choices: Any) -> None:
    """Raise EnhancementInputError if an option's value is none of `choices`, a Literal."""
    known = get_args(choices)
    if value not in known:
        raise EnhancementInputError(f"there is no {name} '{value}'; use {', '.join(known[:-1])} or {known[-1]}")
