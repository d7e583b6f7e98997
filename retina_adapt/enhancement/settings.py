"""How to enhance: everything that the result depends on besides photograph, backbone and adaptor."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from retina_adapt.backbones import ReconstructionBackbone, require_sampling_steps
from retina_adapt.backbones.schedulers import scheduler_like
from retina_adapt.enhancement.detail import Detail
from retina_adapt.enhancement.errors import EnhancementInputError, require_choice
from retina_adapt.enhancement.modes import DEFAULT_STEPS, SAMPLING_START, EnhancementMode

Precision = Literal["float32", "bfloat16"]

# At twice the frame's side, the embedded backbone keeps nearly all vessels (docs/results.md).
FINE_SCALE = 2
# Smaller tiles hold too little of the eye for a network that was trained on whole ones.
SMALLEST_TILE = 64
WORKING_SIZE = 1024
# PyTorch takes 64 bits; tiles and versions count up from the seed.
LARGEST_SEED = 2**62


@dataclass(frozen=True)
class EnhancementSettings:
    """How to enhance.

    Attributes:
        mode: `fast`, one pass through the autoencoder, or `diffusion`, sampled with the denoiser; see `enhance_frames`.
        steps: number of sampling steps in `diffusion`; 4 by default.
        seed: seed of the noise in `diffusion`.
        scheduler: name of the diffusers scheduler in `diffusion`; the backbone's own by default.
        detail: how to treat detail finer than the backbone's frame of the whole eye. `kept`: it stays as it is in the
            photograph. `guided`: it is the photograph's own, with the gain in contrast that the network gave its
            surroundings. `fine`: the network looks at the whole eye a second time, at twice the frame's side, and can
            sharpen what the frame does not show; still finer detail is guided. `tiles`: the same with overlapping tiles
            of a copy of `working_size`.
        working_size: side in pixels of the larger copy for `tiles`, 1024 by default; a smaller photograph keeps its own
            size.
        tile_size: side in pixels of a tile for `tiles`; the backbone's frame size by default.
        batch_size: number of frames or tiles that go through the network at once.
        precision: `bfloat16` computes convolutions in half precision, by PyTorch's autocast.
    """

    mode: EnhancementMode = "fast"
    steps: int | None = None
    seed: int = 0
    scheduler: str | None = None
    detail: Detail = "fine"
    working_size: int | None = None
    tile_size: int | None = None
    batch_size: int = 4
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        require_choice("mode", self.mode, EnhancementMode)
        require_choice("detail", self.detail, Detail)
        require_choice("precision", self.precision, Precision)
        smallest = {"steps": 1, "seed": 0, "working_size": 1, "tile_size": SMALLEST_TILE, "batch_size": 1}
        for name, least in smallest.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | np.integer) and value >= least):
                raise EnhancementInputError(f"{name} is {value!r}; it must be a whole number, at least {least}")
        if self.seed > LARGEST_SEED:
            raise EnhancementInputError(f"seed is {self.seed}; it must be at most {LARGEST_SEED}")
        for name in ("working_size", "tile_size"):
            if getattr(self, name) is not None and self.detail != "tiles":
                raise EnhancementInputError(
                    f"{name} is {getattr(self, name)}, but the detail {self.detail} has no tiles; choose the detail "
                    f"tiles, or leave {name} out"
                )
        for name in ("scheduler", "steps"):
            if getattr(self, name) is not None and self.mode != "diffusion":
                raise EnhancementInputError(
                    f"{name} is {getattr(self, name)}, but the mode {self.mode} samples nothing; choose the mode "
                    f"diffusion, or leave {name} out"
                )

    @property
    def sampling_steps(self) -> int:
        """The steps asked for, or the default."""
        return DEFAULT_STEPS if self.steps is None else self.steps

    def larger_copy(self, backbone: ReconstructionBackbone) -> tuple[int, int] | None:
        """Sides in pixels of the larger copy that the network sees besides its frame, and of its tiles; or None."""
        frame_size = backbone.settings.image_size
        if self.detail == "fine":
            return FINE_SCALE * frame_size, FINE_SCALE * frame_size
        return (self.working_size or WORKING_SIZE, self.tile_size or frame_size) if self.detail == "tiles" else None

    def stride(self, backbone: ReconstructionBackbone) -> int:
        """What the sides of frames and tiles must be divisible by in this mode."""
        return backbone.sampling_stride if self.mode == "diffusion" else backbone.stride

    def check(self, backbone: ReconstructionBackbone) -> None:
        """Check that the backbone can do what is asked for.

        Raises:
            MissingDenoiserError: the mode is `diffusion`, and the backbone has no denoiser.
            UnknownSchedulerError: see `scheduler_like`.
            SamplingStepsError: there are more steps than its noise schedule has from `SAMPLING_START` on.
            EnhancementInputError: its parts cannot divide the tiles, tiles are larger than the copy, the copy is no
                larger than the frame, or the backbone was converted to half precision.
        """
        dtype = backbone.dtype
        if dtype != torch.float32:
            raise EnhancementInputError(
                f"the backbone is in {str(dtype).removeprefix('torch.')}, which would round photographs; keep it in "
                "single precision (`.float()`) and set precision to bfloat16, which uses half precision where safe"
            )
        stride = self.stride(backbone)
        if self.tile_size is not None and self.tile_size % stride:
            raise EnhancementInputError(
                f"tile_size is {self.tile_size}; it must be a multiple of {stride} for this backbone in the mode "
                f"{self.mode}"
            )
        if self.detail == "tiles":
            self._check_tiles(backbone.settings.image_size)
        if self.mode == "diffusion":
            _, scheduler = backbone.require_denoiser()
            scheduler_like(scheduler, self.scheduler)
            require_sampling_steps(backbone, self.sampling_steps, SAMPLING_START)

    def _check_tiles(self, frame_size: int) -> None:
        working_size, tile_size = self.working_size or WORKING_SIZE, self.tile_size or frame_size
        if working_size <= frame_size:
            raise EnhancementInputError(
                f"working_size is {working_size}; the frame of {frame_size} px shows as much: give more, or choose the "
                "detail guided, which has no tiles"
            )
        if tile_size > working_size:
            raise EnhancementInputError(
                f"tile_size is {tile_size}, more than the copy that the tiles are cut from, of {working_size} px; give "
                "a smaller tile_size, or a larger working_size"
            )
