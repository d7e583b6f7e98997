"""Backbones by name: how a recipe builds an untrained one from its configuration.

Other packages add theirs through the entry point group `retina_adapt.backbones`: the entry's name is the backbone's,
its object the builder. docs/backbones.md shows one. A package is imported when its backbone is built, or when a
backbone folder names an unknown part; one that cannot be imported, or uses a name that is taken, does not affect
backbones of other names.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from retina_adapt.backbones.parts import require_registered
from retina_adapt.backbones.reconstruction_backbone import ReconstructionBackbone
from retina_adapt.backbones.shape import BackboneShape
from retina_adapt.errors import DuplicateNameError, RetinaAdaptError
from retina_adapt.suggestions import did_you_mean

ENTRY_POINT_GROUP = "retina_adapt.backbones"

BackboneBuilder = Callable[[BackboneShape], ReconstructionBackbone]
_builders: dict[str, BackboneBuilder] = {}
_registered_entries: set[EntryPoint] = set()


class UnknownBackboneError(RetinaAdaptError):
    """No backbone is registered under this name."""


class BackboneEntryPointError(RetinaAdaptError):
    """An installed package offers a backbone that cannot be imported, or whose name is taken."""


class BackboneBuilderError(RetinaAdaptError):
    """A builder that returned something other than a backbone."""


def register_backbone(name: str) -> Callable[[BackboneBuilder], BackboneBuilder]:
    """Decorator that registers a builder under `name`.

    Raises:
        DuplicateNameError: a backbone of this name is already registered.
    """

    def register(builder: BackboneBuilder) -> BackboneBuilder:
        if name in _builders:
            raise DuplicateNameError(f"a backbone named '{name}' is registered already; choose another name")
        _builders[name] = builder
        return builder

    return register


def backbone_names() -> list[str]:
    """The names of all registered backbones, including those of installed packages."""
    return sorted(_builders.keys() | {entry.name for entry in _new_entries()})


def build_backbone(shape: BackboneShape) -> ReconstructionBackbone:
    """Build a backbone of this shape, untrained unless the shape names a pretrained model.

    Raises:
        UnknownBackboneError: no backbone of this name is registered; suggests the nearest.
        BackboneShapeError: the backbone of this name cannot have this shape.
        BackboneEntryPointError: an installed package that offers this name cannot be imported, or the name is another
            backbone's too, so that it is unclear which one is meant.
        BackboneBuilderError: the builder returned something other than a backbone.
        UnregisteredPartError: the backbone has a part that could not be read from a folder.
    """
    names = backbone_names()
    if shape.name not in names:
        hint = did_you_mean(shape.name, names) or f"; known are {', '.join(names)}"
        raise UnknownBackboneError(f"no backbone is named '{shape.name}'{hint}")
    for entry in _new_entries():
        if entry.name == shape.name:
            _register_entry(entry)
    backbone = _builders[shape.name](shape)
    if not isinstance(backbone, ReconstructionBackbone):
        raise BackboneBuilderError(
            f"backbone '{shape.name}': its builder returned {type(backbone).__name__}; it must return a "
            "ReconstructionBackbone"
        )
    # Checked before training: a backbone that cannot be read again would be lost.
    require_registered(backbone.autoencoder, backbone.denoiser)
    return backbone


def register_installed_backbones() -> list[BackboneEntryPointError]:
    """Import all backbones that installed packages offer, which also registers the parts in their modules.

    Returns:
        An error for each backbone that cannot be imported or whose name is taken; the others are registered.
    """
    defects = []
    for entry in _new_entries():
        try:
            _register_entry(entry)
        except BackboneEntryPointError as error:
            defects.append(error)
    return defects


def _new_entries() -> list[EntryPoint]:
    """The entry points of installed packages that are not registered yet."""
    return [entry for entry in entry_points(group=ENTRY_POINT_GROUP) if entry not in _registered_entries]


def _register_entry(entry: EntryPoint) -> None:
    try:
        builder = entry.load()
    except Exception as error:  # another package's module may raise anything
        raise BackboneEntryPointError(
            f"{_origin(entry)}: cannot be imported: {error!r}; repair or uninstall its package"
        ) from error
    # Its module may have registered the builder itself.
    if _builders.setdefault(entry.name, builder) is not builder:
        raise BackboneEntryPointError(
            f"{_origin(entry)}: a backbone of this name is registered already; rename this entry, or uninstall its "
            "package"
        )
    _registered_entries.add(entry)


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "unknown"
    return f"backbone '{entry.name}' ({entry.value}) of the installed package '{package}'"
