"""What `--adaptor` and `--then` take: an embedded name, a path, or NAME=PATH."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from retina_adapt.adaptors import AdaptorNameError
from retina_adapt.commands.used_models import AUTO, BACKBONE, load_router_and_adaptors
from retina_adapt.embedded import embedded_names
from retina_adapt.enhancement import Enhancer
from retina_adapt.routing import Router


class AdaptorChoice(NamedTuple):
    """One value of `--adaptor` or `--then`.

    Attributes:
        name: the name to give it; None keeps its own.
        adaptor: an embedded name, a folder or a single file.
    """

    name: str | None
    adaptor: str


def parse_adaptor_choice(given: str, option: str = "--adaptor") -> AdaptorChoice:
    """Split NAME=PATH; what exists as a path is taken whole, even with an equals sign in it.

    Raises:
        AdaptorNameError: nothing is given, or several names separated by commas.
    """
    if not given.strip():
        raise AdaptorNameError(f"{option} is empty; give an embedded name such as light, a path, or NAME=PATH")
    if "," in given and set(given.split(",")) <= {*embedded_names("adaptors"), AUTO}:
        raise AdaptorNameError(f"{option} {given}: give each of them its own {option}")
    name, sign, adaptor = given.partition("=")
    # With a slash before the sign it is a path too, though it does not exist: the error should show it whole.
    if not sign or not name or "/" in name or Path(given).exists():
        return AdaptorChoice(None, given)
    return AdaptorChoice(name, adaptor)


@dataclass(frozen=True)
class LoadedChoices:
    """The adaptors given to `--adaptor` and `--then`, loaded.

    Attributes:
        names: names of those given to `--adaptor`; `auto` may be one of them.
        then: names of those given to `--then`.
        router: chooses for `auto`; None without `auto`.
        routable: names that the router may choose.
        asked_for: what the command line gave for each name.
        warnings: about adaptors that `auto` never chooses.
    """

    names: list[str]
    then: list[str]
    router: Router | None
    routable: list[str]
    asked_for: dict[str, str]
    warnings: list[str]


def load_choices(
    enhancer: Enhancer,
    adaptors: Sequence[str],
    then: Sequence[str],
    *,
    router: Path,
    fingerprint: str,
    device: torch.device,
) -> LoadedChoices:
    """Load the adaptors of `--adaptor` and `--then`; for `auto`, also the router and the adaptors it may choose.

    Args:
        router: the router's folder.
        fingerprint: the backbone's fingerprint.

    Raises:
        AdaptorNameError: a name is missing, taken, unusable, or means something else to this command; or `auto` was
            given to `--then`.
        UnknownModelError, AdaptorFileError: see `Enhancer.load_adaptor`.
        RouterFileError: see `load_router`.
    """
    choices = [parse_adaptor_choice(adaptor) for adaptor in adaptors]
    automatic = AdaptorChoice(None, AUTO)
    names = [AUTO if choice == automatic else _load(enhancer, choice) for choice in choices]
    loaded_router, warnings = None, []
    if AUTO in names:
        loaded_router = load_router_and_adaptors(router, enhancer, fingerprint, device)
        known = sorted(loaded_router.settings.adaptors.values())
        warnings = [
            f"{name}: auto never chooses an adaptor of this name; to have it chosen, call it by what it undoes "
            f"({', '.join(known)}), as --adaptor {known[0]}={choice.adaptor}"
            for name, choice in zip(names, choices, strict=True)
            if name not in (AUTO, *known)
        ]
    # Listed before those of `--then` are loaded: the router may not choose them.
    routable = enhancer.adaptors
    further = [parse_adaptor_choice(adaptor, option="--then") for adaptor in then]
    if any(choice.adaptor == AUTO for choice in further):
        raise AdaptorNameError("--then auto: auto chooses by the photograph as it is; give it with --adaptor")
    # An adaptor that `--adaptor` names too, or that was loaded for the router, is there already.
    name_of = {AdaptorChoice(None, name): name for name in routable} | dict(zip(choices, names, strict=True))
    for choice in further:
        if choice not in name_of:
            name_of[choice] = _load(enhancer, choice)
    return LoadedChoices(
        names=names,
        then=[name_of[choice] for choice in further],
        router=loaded_router,
        routable=routable,
        asked_for={name_of[choice]: choice.adaptor for choice in [*further, *choices]},
        warnings=warnings,
    )


def _load(enhancer: Enhancer, choice: AdaptorChoice) -> str:
    name = enhancer.load_adaptor(choice.adaptor, name=choice.name)
    if name in (AUTO, BACKBONE):
        raise AdaptorNameError(
            f"{choice.adaptor}: no adaptor can be called '{name}' here; give it another name with --adaptor NAME=PATH"
        )
    return name
