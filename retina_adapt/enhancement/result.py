"""What enhancing a picture returns besides the picture."""

from dataclasses import dataclass
from typing import Generic

from retina_adapt.enhancement.images import AnyImage
from retina_adapt.enhancement.settings import EnhancementSettings
from retina_adapt.imaging import FieldOfView


@dataclass(frozen=True, eq=False)
class Enhancement(Generic[AnyImage]):
    """An enhanced picture and how it came about.

    Attributes:
        image: the enhanced picture, with the type, size, orientation and bit depth of the input.
        field_of_view: where the picture may have changed.
        adaptor: as `Enhancer.active_adaptor`; None is the plain backbone, which changes nothing.
        settings: as asked for.
        tile_size: side in pixels of the closer look's tiles; the detail `fine` has a single one, as large as its copy.
            Smaller than asked for if memory ran out or the photograph is small; None without a closer look.
    """

    image: AnyImage
    field_of_view: FieldOfView
    adaptor: str | None
    settings: EnhancementSettings
    tile_size: int | None
