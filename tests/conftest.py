"""Fixtures shared by all rooms."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import runpy
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Only names here: the process that hands tests out to the others needs none of it, and they wait until it has started.
if TYPE_CHECKING:
    import torch

    from retina_adapt.backbones import BackboneShape, ReconstructionBackbone

# Tests run side by side (pytest-xdist): one thread each. Set before torch is imported, and inherited by the processes
# that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
# What is prepared in a test run serves no other run. PEFT's BOFT tries to build an extension of PyTorch; processes that
# share a folder for these wait for each other, and for ever for one that was killed.
CACHES = Path(tempfile.mkdtemp(prefix="retina_adapt_tests_"))
os.environ["HF_DATASETS_CACHE"] = str(CACHES / "datasets")
os.environ["TORCH_EXTENSIONS_DIR"] = str(CACHES / "torch_extensions")
atexit.register(shutil.rmtree, CACHES, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with many: handed out whole, a long one in the end is waited for."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """Whatever is imported by now stays; looking for garbage among it would take half a second each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What pytest's plugins import for their last words, they find as usual."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real photographs (see docs/corpus.md), beside the checkout; skips the test where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the corpus of real photographs is not at {folder}; docs/corpus.md tells how to lay it out")
    return folder


@pytest.fixture(scope="session")
def start_recipe() -> Callable[..., str]:
    """`start_recipe("adapt", "--config", path)`: run the script as `python recipes/adapt.py …` does; what it printed.

    In this process, with the launcher's environment of one process on a CPU: a new one would spend most of its time
    importing torch. Where a recipe ends with an error, the SystemExit that would be the process's end is raised.
    """
    from accelerate.state import AcceleratorState, GradientState, PartialState

    from retina_adapt.commands.recipes import recipes_folder

    def start(recipe: str, *arguments: object) -> str:
        script = recipes_folder() / f"{recipe}.py"
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr(sys, "argv", [str(script), *map(str, arguments)])
            patch.syspath_prepend(str(script.parent))
            patch.setenv("ACCELERATE_USE_CPU", "true")
            try:
                runpy.run_path(str(script), run_name="__main__")
            finally:
                # Accelerate keeps what the first accelerator of a process was made with.
                for state in (AcceleratorState, GradientState, PartialState):
                    state._reset_state()
        return printed.getvalue()

    return start


@pytest.fixture(scope="session")
def toy_stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """From image channels, a folder in Stable Diffusion's layout: random weights, latents (4, 16, 16) of 64 px."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    @cache
    def folder_for(image_channels: int) -> Path:
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp(f"stable_diffusion_{image_channels}")
        AutoencoderKL(
            in_channels=image_channels,
            out_channels=image_channels,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(16, 16, 16),
            norm_num_groups=8,
        ).save_pretrained(folder / "vae")
        UNet2DConditionModel(
            sample_size=16,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(16, 16),
            layers_per_block=1,
            cross_attention_dim=8,
            attention_head_dim=2,
            norm_num_groups=8,
        ).save_pretrained(folder / "unet")
        DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
            folder / "scheduler"
        )
        return folder

    return folder_for


@pytest.fixture(scope="session", autouse=True)
def progress_bars_of_each_process_alone() -> None:
    """tqdm's lock is shared by forked processes: one that a test kills while it draws its bar would lock all others."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


@pytest.fixture(scope="session")
def toy_shape_of(toy_stable_diffusion: Callable[[int], Path]) -> Callable[..., BackboneShape]:
    """`toy_shape_of(name, image_channels=3)`: a registered backbone small enough for a test.

    All of them have frames of 64 px and latents (4, 16, 16).
    """
    from retina_adapt.backbones import AutoencoderShape, BackboneShape, DenoiserShape

    def shape_of(name: str, image_channels: int = 3) -> BackboneShape:
        isotropic, transformer = name.startswith("isotropic-"), name.endswith("-transformer")
        pretrained = str(toy_stable_diffusion(image_channels)) if name == "stable-diffusion" else None
        return BackboneShape(
            name=name,
            image_size=64,
            image_channels=image_channels,
            autoencoder=AutoencoderShape(
                channels=[16] if isotropic else [16, 16],
                latent_channels=4,
                space_to_depth=4 if isotropic else 2,
                normalization_groups=8,
                codebook_size=32,
            ),
            denoiser=DenoiserShape(
                channels=[16] if transformer else [16, 16],
                blocks_per_level=3 if transformer else 1,
                attention=[False, False],
                attention_head_channels=8,
                normalization_groups=8,
            ),
            pretrained=pretrained,
        )

    return shape_of


@pytest.fixture(scope="session")
def toy_backbone_of(toy_shape_of: Callable[..., BackboneShape]) -> Callable[..., ReconstructionBackbone]:
    """`toy_backbone_of(name, image_channels=3)`: an untrained one, frozen, always with the same weights."""
    import torch

    from retina_adapt.backbones import build_backbone

    def backbone_of(name: str, image_channels: int = 3) -> ReconstructionBackbone:
        shape = toy_shape_of(name, image_channels)
        torch.manual_seed(0)
        return build_backbone(shape).eval().requires_grad_(False)

    return backbone_of


@pytest.fixture
def toy_shape(toy_shape_of: Callable[..., BackboneShape]) -> BackboneShape:
    """Of the backbone that most tests use, a `kl-unet`: frames of 64 px, latents (4, 16, 16)."""
    return toy_shape_of("kl-unet")


@pytest.fixture
def toy_backbone(toy_backbone_of: Callable[..., ReconstructionBackbone]) -> ReconstructionBackbone:
    """The backbone that most tests use, a `kl-unet`: untrained, frozen, always with the same weights."""
    return toy_backbone_of("kl-unet")


@pytest.fixture
def toy_backbone_folder(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> Path:
    """The toy backbone on disk."""
    from retina_adapt.backbones import save_backbone

    save_backbone(toy_backbone, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def frames() -> torch.Tensor:
    """Two frames (2, 3, 64, 64) in [0, 1]."""
    import torch

    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
