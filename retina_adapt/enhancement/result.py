"""What enhancing a picture gives besides the picture."""

from dataclasses import dataclass
from typing import Generic

from retina_adapt.enhancement.images import AnyImage
from retina_adapt.enhancement.settings import EnhancementSettings
from retina_adapt.imaging import FieldOfView


@dataclass(frozen=True, eq=False)
class Enhancement(Generic[AnyImage]):
    """An enhanced picture and how it came about.

    Attributes:
        image: of the type, size, orientation and bit depth of what was given.
        field_of_view: where it may have changed.
        adaptor: as `Enhancer.active_adaptor`; None is the plain backbone, which changes nothing.
        settings: as asked for.
        tile_size: side in pixels of the tiles of the closer look, of which the detail `fine` has one, as large as its
            copy; smaller where memory ran out or the photograph is small; None without a closer look.
    """

    image: AnyImage
    field_of_view: FieldOfView
    adaptor: str | None
    settings: EnhancementSettings
    tile_size: int | None
