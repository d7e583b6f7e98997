"""The record that an enhanced file carries."""

from collections.abc import Iterable

from retina_adapt import __version__
from retina_adapt.enhancement.settings import EnhancementSettings
from retina_adapt.imaging import Provenance, UsedAdaptor


def provenance_of(
    settings: EnhancementSettings,
    *,
    backbone: str,
    backbone_fingerprint: str,
    adaptors: Iterable[UsedAdaptor],
    input_sha256: str,
) -> Provenance:
    """The provenance of an image enhanced with these settings; arguments as in `Provenance`."""
    is_sampled = settings.mode == "diffusion"
    return Provenance(
        software=f"retina_adapt {__version__}",
        backbone=backbone,
        backbone_fingerprint=backbone_fingerprint,
        adaptors=tuple(adaptors),
        mode=settings.mode,
        steps=settings.sampling_steps if is_sampled else None,
        seed=settings.seed if is_sampled else None,
        scheduler=settings.scheduler,
        detail=settings.detail,
        working_size=settings.working_size,
        tile_size=settings.tile_size,
        precision=settings.precision,
        input_sha256=input_sha256,
    )
