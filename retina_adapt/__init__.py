"""Parameter-efficient fine-tuning for retinal image enhancement.

>>> from retina_adapt import Enhancer
>>> enhancer = Enhancer.from_pretrained()
>>> enhancer.load_adaptor("light")
>>> enhanced = enhancer(photograph)
"""

from typing import TYPE_CHECKING, Any

from retina_adapt.errors import RetinaAdaptError

if TYPE_CHECKING:
    from retina_adapt.enhancement import Enhancer

__version__ = "0.1.0"
__all__ = ["Enhancer", "RetinaAdaptError", "__version__"]


def __getattr__(name: str) -> Any:
    # Torch and diffusers take seconds to import: only who enhances pays for them.
    if name == "Enhancer":
        from retina_adapt.enhancement import Enhancer

        return Enhancer
    raise AttributeError(f"module 'retina_adapt' has no attribute '{name}'")
