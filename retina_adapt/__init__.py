"""Parameter-efficient fine-tuning for retinal image enhancement.

>>> from retina_adapt import Enhancer
>>> enhancer = Enhancer.from_pretrained()
>>> enhancer.load_adaptor("light")
>>> enhanced = enhancer(photograph)
"""

from typing import TYPE_CHECKING, Any

from retina_adapt.errors import RetinaAdaptError

if TYPE_CHECKING:
    from retina_adapt.enhancement import Enhancement, EnhancementSettings, Enhancer, RetinaEnhancementPipeline

__version__ = "0.1.0"
_LAZY = ("Enhancement", "EnhancementSettings", "Enhancer", "RetinaEnhancementPipeline")
__all__ = [
    "Enhancement",
    "EnhancementSettings",
    "Enhancer",
    "RetinaAdaptError",
    "RetinaEnhancementPipeline",
    "__version__",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Torch and diffusers take seconds to import: only those who enhance wait for them.
    if name in _LAZY:
        import retina_adapt.enhancement

        return getattr(retina_adapt.enhancement, name)
    raise AttributeError(f"module 'retina_adapt' has no attribute '{name}'")
