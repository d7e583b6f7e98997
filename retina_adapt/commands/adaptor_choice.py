"""What `--adaptor` and `--then` take: an embedded name, a path, or NAME=PATH."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from retina_adapt.adaptors import AdaptorNameError
from retina_adapt.commands.used_models import AUTO, BACKBONE
from retina_adapt.embedded import embedded_names
from retina_adapt.enhancement import Enhancer


class AdaptorChoice(NamedTuple):
    """One value of `--adaptor` or `--then`.

    Attributes:
        name: to call it by; None leaves it its own.
        adaptor: an embedded name, a folder or a single file.
    """

    name: str | None
    adaptor: str


def parse_adaptor_choice(given: str, option: str = "--adaptor") -> AdaptorChoice:
    """Take NAME=PATH apart; a path that exists as a whole is one, whatever is in it.

    Raises:
        AdaptorNameError: nothing is given, or several with commas between them.
    """
    if not given.strip():
        raise AdaptorNameError(f"{option} is empty; give an embedded name such as light, a path, or NAME=PATH")
    if "," in given and set(given.split(",")) <= {*embedded_names("adaptors"), AUTO}:
        raise AdaptorNameError(f"{option} {given}: give each of them with {option} of its own")
    name, sign, adaptor = given.partition("=")
    # What has a slash before the sign is a path too, one that does not exist: the error should show all of it.
    if not sign or not name or "/" in name or Path(given).exists():
        return AdaptorChoice(None, given)
    return AdaptorChoice(name, adaptor)


def load_chosen_adaptor(enhancer: Enhancer, choice: AdaptorChoice) -> str:
    """Load an adaptor by the name that was chosen, or its own; returns the name.

    Raises:
        AdaptorNameError: the name is taken, cannot be one, or means something else to this command.
        UnknownModelError, AdaptorFileError: see `Enhancer.load_adaptor`.
    """
    name = enhancer.load_adaptor(choice.adaptor, name=choice.name)
    if name in (AUTO, BACKBONE):
        raise AdaptorNameError(
            f"{choice.adaptor}: no adaptor can be called '{name}' here; give it another name with --adaptor NAME=PATH"
        )
    return name


def load_further_adaptors(
    enhancer: Enhancer, choices: Sequence[AdaptorChoice], loaded: Mapping[AdaptorChoice, str]
) -> list[str]:
    """Load the adaptors of `--then`, but for those that `--adaptor` names too; returns the names.

    Raises:
        AdaptorNameError: `auto` is among them, which chooses once; or as for `load_chosen_adaptor`.
        UnknownModelError, AdaptorFileError: see `Enhancer.load_adaptor`.
    """
    if any(choice.adaptor == AUTO for choice in choices):
        raise AdaptorNameError("--then auto: auto chooses by the photograph as it is; give it with --adaptor")
    known = dict(loaded)
    for choice in choices:
        if choice not in known:
            known[choice] = load_chosen_adaptor(enhancer, choice)
    return [known[choice] for choice in choices]
