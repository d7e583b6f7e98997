"""The `Enhancer` as a diffusers pipeline, in one folder with its backbone and adaptors."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput

from retina_adapt.adaptors import save_adaptor
from retina_adapt.atomic_files import (
    require_own_folder,
    restore_interrupted_replacement,
    write_folder_atomically,
)
from retina_adapt.backbones import ReconstructionBackbone, load_backbone, save_backbone
from retina_adapt.backbones.schedulers import require_usable
from retina_adapt.enhancement.enhancer import Enhancer
from retina_adapt.enhancement.errors import EnhancementInputError
from retina_adapt.enhancement.images import AnyImage
from retina_adapt.enhancement.modes import DEFAULT_STEPS
from retina_adapt.enhancement.settings import LARGEST_SEED
from retina_adapt.plain_values import fits_type

INDEX_FILE = "model_index.json"
_BACKBONE, _ADAPTORS = "backbone", "adaptors"


@dataclass
class RetinaEnhancementOutput(BaseOutput):
    """What the pipeline returns.

    Attributes:
        images: the enhanced pictures, each of the type that was given.
    """

    images: list[Any]


class RetinaEnhancementPipeline(DiffusionPipeline):
    """A backbone with adaptors, called and stored like other pipelines of diffusers.

    >>> pipeline = RetinaEnhancementPipeline(enhancer)
    >>> pipeline.scheduler = UniPCMultistepScheduler.from_config(pipeline.scheduler.config)
    >>> enhanced = pipeline(image, num_inference_steps=2, generator=torch.Generator().manual_seed(1)).images[0]
    """

    def __init__(self, enhancer: Enhancer) -> None:
        super().__init__()
        self.enhancer = enhancer
        self.register_modules(backbone=enhancer.backbone, scheduler=enhancer.backbone.scheduler)

    @classmethod
    def _get_signature_keys(cls, obj: Any) -> tuple[list[str], list[str]]:
        """The names of the parts, for `to`, `device` and `components`; diffusers would take `enhancer` for one."""
        return ["backbone", "scheduler"], []

    @torch.no_grad()
    def __call__(
        self,
        image: AnyImage | list[AnyImage],
        *,
        num_inference_steps: int | None = DEFAULT_STEPS,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
        **options: Any,
    ) -> RetinaEnhancementOutput | tuple[list[Any]]:
        """Enhance one picture or several with the active adaptor.

        Args:
            image: whatever an `Enhancer` takes.
            num_inference_steps: sampling steps; None selects the mode `fast`, without the denoiser.
            generator: its initial seed, modulo 2^62, is the seed of the noise.
            return_dict: False gives a tuple, as in other pipelines.
            options: those of calling an `Enhancer`, except `mode`, `steps` and `seed`.

        Raises:
            UnknownSchedulerError: `scheduler` was replaced by one that cannot be used.
            RetinaAdaptError: as calling an `Enhancer` does.
        """
        if num_inference_steps is not None:
            require_usable(self.scheduler)
        self.enhancer.backbone.scheduler = self.scheduler
        if num_inference_steps is None:
            options |= {"mode": "fast"}
        else:
            options |= {"mode": "diffusion", "steps": num_inference_steps}
        if generator is not None:
            options |= {"seed": generator.initial_seed() % LARGEST_SEED}
        images: list[AnyImage] = list(image) if isinstance(image, list | tuple) else [image]
        if isinstance(image, torch.Tensor) and image.ndim == 4:
            images = list(image)
        enhanced = self.enhancer(images, **options)
        return RetinaEnhancementOutput(images=enhanced) if return_dict else (enhanced,)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write backbone, scheduler and all loaded adaptors to one folder, atomically, replacing a pipeline there.

        Raises:
            EnhancementInputError: the folder holds something else, which would be lost; or several adaptors are active,
                or one with a weight other than 1, which the folder has no place for.
            UnknownSchedulerError: `scheduler` was replaced by one that cannot be used.
        """
        enhancer = self.enhancer
        own_name = type(self).__name__
        # Every pipeline of diffusers, and a backbone alone, has an index of this name.
        require_own_folder(save_directory, INDEX_FILE, EnhancementInputError, what=own_name, says=f'"{own_name}"')
        if [list(weights.values()) for weights in enhancer.active_passes] not in ([], [[1]]):
            raise EnhancementInputError(
                f"the weights of '{enhancer.active_adaptor}' cannot be stored; make one adaptor active with "
                "`set_adaptor` first"
            )
        if self.scheduler is not None:
            require_usable(self.scheduler)
        enhancer.backbone.scheduler = self.scheduler
        index = {
            "_class_name": own_name,
            "_diffusers_version": diffusers.__version__,
            "adaptors": enhancer.adaptors,
            "active_adaptor": enhancer.active_adaptor,
        }
        with write_folder_atomically(save_directory) as temporary:
            save_backbone(_without_adaptors(enhancer), temporary / _BACKBONE)
            if enhancer.adapted is not None:
                for name in enhancer.adaptors:
                    save_adaptor(enhancer.adapted, name, temporary / _ADAPTORS / name, enhancer.metadata_of(name))
            (temporary / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, device: str | torch.device = "cpu"
    ) -> "RetinaEnhancementPipeline":
        """Load what `save_pretrained` wrote, with the same adaptor active. Nothing is downloaded and nothing unpickled.

        Raises:
            EnhancementInputError: the folder holds no such pipeline.
            BackboneFileError, AdaptorFileError: a part is damaged.
        """
        folder = Path(pretrained_model_name_or_path)
        restore_interrupted_replacement(folder)
        try:
            index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
            names, active = index["adaptors"], index["active_adaptor"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise EnhancementInputError(
                f"{folder}: holds no {cls.__name__}; give a folder that its save_pretrained wrote ({error})"
            ) from error
        if not fits_type(names, list[str]) or not fits_type(active, str | None):
            raise EnhancementInputError(f"{folder / INDEX_FILE}: adaptors and active_adaptor must be names")
        enhancer = Enhancer(load_backbone(folder / _BACKBONE).to(device))
        for name in names:
            enhancer.load_adaptor(folder / _ADAPTORS / Path(name).name, name)
        enhancer.set_adaptor(active)
        return cls(enhancer)


def _without_adaptors(enhancer: Enhancer) -> ReconstructionBackbone:
    """The bare backbone; a copy, if it carries adaptors."""
    if enhancer.adapted is None:
        return enhancer.backbone
    return copy.deepcopy(enhancer.adapted).unload()
