"""Evaluate how well a backbone without adaptors reconstructs photographs that it was not trained on.

    python recipes/evaluate_reconstruction.py --config recipes/configs/evaluate_reconstruction_nano.yaml

Scores the autoencoder alone and, if the backbone has a denoiser, what is sampled under a photograph's own latent: PSNR
and SSIM in the field of view, vessels kept and invented, and the contrast that vessels keep. Prints a table for each
frame size, and writes `results_<size>.json`, `results_<size>.md` and a picture sheet to the output folder.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import tqdm

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.backbones import load_backbone
from retina_adapt.configuration import ConfigurationError, store_configuration
from retina_adapt.data import (
    EvaluationBatchSampler,
    PhotographSource,
    PreparedPhotographs,
    UnpairedImages,
    WholeFrame,
    open_sources,
)
from retina_adapt.embedded import DEFAULT_BACKBONE, backbone_folder
from retina_adapt.enhancement import reconstruct_frames
from retina_adapt.evaluation import (
    EvaluationReport,
    PictureRow,
    ReportRow,
    score_image,
    vessel_agreement,
    write_picture_sheet,
)
from retina_adapt.training import run_recipe

# Differences are small, so the sheet amplifies them around middle grey.
DIFFERENCE_GAIN = 8


@dataclass
class ReconstructedDataSet:
    """Held-out photographs of any quality.

    Args:
        name: its name in the table.
        photographs: where they come from.
    """

    name: str
    photographs: PhotographSource


@dataclass
class EvaluateReconstructionConfig:
    """Everything that recipes/evaluate_reconstruction.py reads.

    Args:
        output_folder: where the tables, JSON and picture sheet go.
        data_sets: held-out photographs.
        backbone: name of an embedded backbone, or a backbone folder.
        frame_sizes: sides of the square frames in pixels.
        sampling_steps: number of steps of the denoiser.
        seed: seed of the diffusion noise.
        pictures: how many photographs of each data set are on the picture sheet.
    """

    output_folder: str
    data_sets: list[ReconstructedDataSet]
    backbone: str = DEFAULT_BACKBONE
    frame_sizes: list[int] = field(default_factory=lambda: [256, 512])
    sampling_steps: int = 4
    seed: int = 0
    pictures: int = 2

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigurationError(f"seed is {self.seed}; it must not be negative")
        if not self.data_sets:
            raise ConfigurationError("data_sets is empty: name at least one data set")
        names = [data_set.name for data_set in self.data_sets]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"data_sets: the names {', '.join(names)} must differ, since they name the rows")


def main(config: EvaluateReconstructionConfig) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbone = load_backbone(backbone_folder(config.backbone)).to(device)
    methods = {"autoencoder": "fast"} | ({"sampled": "diffusion"} if backbone.denoiser is not None else {})
    for size in config.frame_sizes:
        if size < 1 or size % backbone.sampling_stride:
            raise ConfigurationError(
                f"frame_sizes: {size} is none for this backbone, which takes multiples of {backbone.sampling_stride}"
            )
    # All of them first, so that a mistyped folder is reported now, not in the middle of the work.
    opened = {
        (size, data_set.name): PreparedPhotographs(open_sources([data_set.photographs]), size)
        for size in config.frame_sizes
        for data_set in config.data_sets
    }
    folder = Path(config.output_folder)
    store_configuration(config, folder / "config.yaml")
    sheet_rows: list[PictureRow] = []
    for size in config.frame_sizes:
        report = EvaluationReport(frame_size=size)
        for data_set in config.data_sets:
            photographs = opened[size, data_set.name]
            frames = UnpairedImages(photographs, WholeFrame(size))
            sampler = EvaluationBatchSampler(len(frames), 1, seed=config.seed)
            for (draw,) in tqdm(sampler, desc=f"{data_set.name}, {size} px"):
                item = frames[draw]
                image, mask = item["image"].permute(1, 2, 0).numpy(), item["mask"][0].numpy()
                name = Path(photographs.names[draw.index]).name
                pictures, scores = [image], [None]
                for method, mode in methods.items():
                    started = time.perf_counter()
                    with torch.no_grad():
                        reconstructed = reconstruct_frames(
                            backbone,
                            item["image"][None].to(device),
                            mode=mode,
                            steps=config.sampling_steps,
                            seeds=[draw.seed],
                        )
                    result = reconstructed[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
                    seconds = time.perf_counter() - started
                    found = score_image(result, image, mask)
                    vessels = vessel_agreement(result, image, mask)
                    report.add(ReportRow(data_set.name, "none", method, name, found, seconds, vessels))
                    pictures += [result, np.clip(0.5 + DIFFERENCE_GAIN * (result - image), 0, 1)]
                    scores += [found, None]
                if draw.index < config.pictures:
                    inside = [np.where(mask[..., None], picture, 0) for picture in pictures]
                    sheet_rows.append(PictureRow(f"{data_set.name} {size} px {name}", inside, scores))
        report.to_json(folder / f"results_{size}.json")
        with write_file_atomically(folder / f"results_{size}.md") as temporary:
            temporary.write_text(report.to_markdown() + "\n", encoding="utf-8")
        report.print_table()
    columns = [title for method in methods for title in (method, f"difference x {DIFFERENCE_GAIN}")]
    if sheet_rows:
        write_picture_sheet(folder / "sheet.png", sheet_rows, ["photograph", *columns])
    print(f"Written to {folder}")


if __name__ == "__main__":
    run_recipe(main, EvaluateReconstructionConfig, description=__doc__)
