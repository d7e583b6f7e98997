"""`retina-adapt demo`: the whole path on one machine in a few minutes.

Photographs (given or drawn) are split; the recipe `adapt` trains an adaptor on the embedded backbone; this adaptor and
an embedded one enhance held-out photographs; the recipe `evaluate` compares them with the degraded input and CLAHE.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.commands.degrade import degrade_photographs
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.enhance import enhance_photographs
from retina_adapt.commands.photograph_list import make_output_folder
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.degradations import preset_names
from retina_adapt.embedded import DEFAULT_BACKBONE
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import find_field_of_view, find_photographs, read_photograph

DRAWN_PHOTOGRAPHS = 40
DRAWN_SIZE = 512
SPLIT_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
FEWEST_PHOTOGRAPHS = 10
ORIGIN_FILE = "origin.txt"


class DemoError(RetinaAdaptError):
    """Too few photographs, a degradation without a recipe, or a recipe that failed."""


def run_demo(
    output: Path, *, photographs: Path | None, degradation: str, steps: int, seed: int, console: Console
) -> Path:
    """Run the demonstration, all of it below `output`, and return the path of the picture sheet.

    Args:
        photographs: a folder of clear photographs; None draws some.
        degradation: one of `demo_degradations`.
        steps: optimiser steps of the autoencoder's adaptors.

    Raises:
        DemoError: fewer than ten usable photographs are given, `output` holds those of another demonstration, there is
            none of this degradation, or a recipe fails.
        OutputFolderError: `output` cannot be made.
    """
    adaptation = demo_adaptation(output, degradation, steps, seed)
    make_output_folder(output)
    console.rule("1. Photographs")
    split_photographs(output, photographs, seed, console)

    console.rule("2. Fine-tune an adaptor")
    config = output / "adapt.yaml"
    config.write_text(yaml.safe_dump(adaptation, sort_keys=False), encoding="utf-8")
    _run("adapt", config, console)

    console.rule("3. Enhance held-out photographs")
    test_photographs = output / "photographs" / "test"
    degrade_photographs(
        test_photographs,
        output / "degraded",
        preset=degradation,
        seed=seed,
        field_of_view="auto",
        console=console,
    )
    adaptors = [str(output / "adapted" / "adaptor"), degradation]
    enhance_photographs(
        output / "degraded",
        output / "enhanced",
        adaptors=adaptors,
        backbone=DEFAULT_BACKBONE,
        seed=seed,
        device="cpu",
        console=console,
    )
    console.print(f"{output / 'enhanced'}: results of the new adaptor ('adaptor') and of the embedded '{degradation}'")

    console.rule("4. Compare")
    config = output / "evaluate.yaml"
    evaluation = {
        "output_folder": str(output / "evaluation"),
        "data_sets": [{"name": "held-out", "photographs": {"path": str(output / "photographs"), "split": "test"}}],
        "degradations": [{"preset": degradation, "adaptors": adaptors}],
        "modes": ["fast"],
        # Draws other than those of training.
        "seed": seed + 1,
        "pictures": 4,
    }
    config.write_text(yaml.safe_dump(evaluation, sort_keys=False), encoding="utf-8")
    _run("evaluate", config, console)
    return output / "evaluation" / "sheet.png"


def demo_degradations() -> list[str]:
    """The presets that the embedded adaptors were trained on, each with a committed configuration."""
    return [name for name in preset_names() if _committed_config(name).is_file()]


def split_photographs(output: Path, photographs: Path | None, seed: int, console: Console) -> None:
    """Fill photographs/train, validation and test below `output`: all of them, or none if interrupted.

    Photographs that cannot be prepared are left out, with a warning.

    Raises:
        DemoError: fewer than ten usable photographs are given, or the folder holds those of another demonstration.
    """
    folder = output / "photographs"
    origin = "drawn" if photographs is None else str(photographs.resolve())
    if folder.exists():
        known = (folder / ORIGIN_FILE).read_text(encoding="utf-8") if (folder / ORIGIN_FILE).is_file() else "elsewhere"
        if known != origin:
            raise DemoError(
                f"{folder}: holds photographs of another demonstration ({known}), not of this one ({origin}); name "
                "another output folder"
            )
        console.print(f"{folder}: used as it is")
        return
    with write_folder_atomically(folder) as temporary:
        if photographs is None:
            console.print(f"Drawing {DRAWN_PHOTOGRAPHS} fundus photographs of {DRAWN_SIZE} px")
            files = draw_photographs(temporary / "all", count=DRAWN_PHOTOGRAPHS, seed=seed, size=DRAWN_SIZE)
        else:
            files = [path for path in find_photographs(photographs) if _can_be_prepared(path, console)]
            if len(files) < FEWEST_PHOTOGRAPHS:
                raise DemoError(
                    f"{photographs}: holds {len(files)} photographs that can be used; give at least "
                    f"{FEWEST_PHOTOGRAPHS}"
                )
        random.Random(seed).shuffle(files)
        first = 0
        for split, share in SPLIT_SHARES.items():
            last = len(files) if split == "test" else first + max(1, round(share * len(files)))
            (temporary / split).mkdir()
            for number, file in enumerate(files[first:last]):
                shutil.copyfile(file, temporary / split / f"{number:04d}_{file.name}")
            first = last
        if photographs is None:
            shutil.rmtree(temporary / "all")
        (temporary / ORIGIN_FILE).write_text(origin, encoding="utf-8")


def _can_be_prepared(path: Path, console: Console) -> bool:
    try:
        find_field_of_view(read_photograph(path).pixels, name=str(path))
    except RetinaAdaptError as error:
        console.print(f"left out: {error}", style="yellow")
        return False
    return True


def demo_adaptation(output: Path, degradation: str, steps: int, seed: int) -> dict[str, Any]:
    """The embedded adaptor's committed configuration, with the demonstration's photographs and fewer steps.

    Returns:
        Plain values, as `recipes/adapt.py` reads them from YAML.

    Raises:
        DemoError: there is none for this degradation.
    """
    if degradation not in demo_degradations():
        raise DemoError(f"no demonstration of '{degradation}'; there are: {', '.join(demo_degradations())}")
    config: dict[str, Any] = yaml.safe_load(_committed_config(degradation).read_text(encoding="utf-8"))
    small_share = config["small_frames"]["steps"] / config["autoencoder"]["steps"]
    photographs = str(output / "photographs")
    config["output_folder"] = str(output / "adapted")
    config["train"]["clear"] = [{"path": photographs, "split": "train"}]
    config["validation"]["clear"] = [{"path": photographs, "split": "validation"}]
    config["autoencoder"] |= {"steps": steps, "validate_every": max(1, steps // 3), "seed": seed}
    config["small_frames"]["steps"] = int(small_share * steps)
    # It takes five times as long per pair, and the demonstration shows the way, not the best result.
    config["second_look"] = {"steps": 0}
    config["adaptor"]["hook_groups"] = ["encoder", "decoder"]
    config["card"] = {"data_sets": ["photographs of the demonstration"]}
    return config


def _committed_config(degradation: str) -> Path:
    return recipes_folder() / "configs" / f"adapt_{degradation}.yaml"


def _run(recipe: str, config: Path, console: Console) -> None:
    script = str(recipes_folder() / f"{recipe}.py")
    console.print(f"python {script} --config {config}", style="bold")
    environment = {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": str(not torch.cuda.is_available())} | os.environ
    if subprocess.run([sys.executable, script, "--config", str(config)], env=environment, check=False).returncode != 0:
        raise DemoError(
            f"the recipe '{recipe}' failed; its message is above. Once that is fixed, the same command resumes there"
        )
