"""Vessels before and after enhancement, against an observer's masks.

    python recipes/benchmark.py structure

Clear photographs with vessel masks are degraded and enhanced at `size` pixels as a user would (`Enhancer`). Vessels
are found by the ridge filter of `retina_adapt.evaluation.vessel_map`, which has no learned weights, in the degraded,
the enhanced and the clear photograph alike. Writes `structure.json`, `structure.md` and an overlay of kept (grey), new
(red) and lost (blue) vessels.
"""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import parse_configuration
from retina_adapt.data import DegradePair, Draw, PreparedPhotographs, load_images
from retina_adapt.data.draws import seed_of
from retina_adapt.embedded import DEFAULT_BACKBONE
from retina_adapt.enhancement import Enhancer
from retina_adapt.evaluation import PictureRow, centerline_dice, dice, vessel_map, write_picture_sheet

MASK_THRESHOLD = 0.5
KEPT, NEW, LOST = (0.75, 0.75, 0.75), (1.0, 0.2, 0.1), (0.2, 0.5, 1.0)
MEASURES = {"dice": dice, "clDice": centerline_dice}


@dataclass
class StructureConfig:
    """Everything that recipes/benchmark.py structure reads.

    Args:
        output_folder: where the results go.
        folders: data sets with a column `vessels` of mask files, relative to the split's folder, by name.
        adaptors: the adaptor, embedded name or folder, for each degradation.
        split: of the photographs.
        size: side of the squares around the field of view, in pixels.
        backbone: embedded name or folder.
        seed: of the degradations.
        pictures: photographs of each data set and degradation on the overlay sheet.
    """

    output_folder: str = "runs/structure"
    folders: dict[str, str] = field(default_factory=lambda: {"HRF": "corpus/hrf", "CHASE_DB1": "corpus/chase_db1"})
    adaptors: dict[str, str] = field(
        default_factory=lambda: {name: name for name in ("light", "blur", "spots", "haze", "mixed")}
    )
    split: str = "test"
    size: int = 512
    backbone: str = DEFAULT_BACKBONE
    seed: int = 1
    pictures: int = 1


def main() -> None:
    """Measure, print, write."""
    config = parse_configuration(StructureConfig, description=__doc__)
    enhancer = Enhancer.from_pretrained(config.backbone)
    loaded = {degradation: enhancer.load_adaptor(name) for degradation, name in config.adaptors.items()}
    results: dict[str, dict[str, float]] = {}
    sheet: list[PictureRow] = []
    for data_set, folder in config.folders.items():
        rows = load_images(folder, split=config.split)
        rows = rows.map(_with_mask, fn_kwargs={"split": str(Path(folder) / config.split)})
        photographs = PreparedPhotographs(rows, config.size, companion_column="vessels")
        for degradation, adaptor in loaded.items():
            enhancer.set_adaptor(adaptor)
            degrade = DegradePair(degradation)
            found: list[dict[str, float]] = []
            for index in range(len(photographs)):
                photograph = photographs[index]
                expected = photographs.companion(index).image[..., 0] > MASK_THRESHOLD
                pair = degrade(photograph, Draw(index, seed_of(config.seed, index)))
                low = pair["low"].permute(1, 2, 0).numpy()
                high = enhancer(low, mask=photograph.mask)
                pictures = {"degraded": low, "enhanced": high, "clear": photograph.image}
                vessels = {name: vessel_map(picture, photograph.mask) for name, picture in pictures.items()}
                found.append(_scores(vessels, expected & photograph.mask))
                if index < config.pictures:
                    overlays = [_overlay(picture, vessels["clear"]) for picture in vessels.values()]
                    sheet.append(
                        PictureRow(
                            label=f"{data_set} {degradation}",
                            pictures=[*pictures.values(), *overlays[:2]],
                            scores=[None] * 5,
                        )
                    )
            results[f"{data_set} | {degradation}"] = {
                key: float(np.mean([scores[key] for scores in found])) for key in found[0]
            }
            print(f"{data_set}, {degradation}: {results[f'{data_set} | {degradation}']}", flush=True)
    folder = Path(config.output_folder)
    with write_file_atomically(folder / "structure.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    with write_file_atomically(folder / "structure.md") as temporary:
        temporary.write_text(_table(results) + "\n", encoding="utf-8")
    columns = ["degraded", "enhanced", "clear", "vessels of degraded", "vessels of enhanced"]
    write_picture_sheet(folder / "structure.png", sheet, columns)
    print(_table(results))


def _with_mask(row: dict[str, Any], split: str) -> dict[str, Any]:
    # Paths in a data set's metadata are relative to its split's folder; a companion has its photograph's channels.
    encoded = io.BytesIO()
    Image.open(Path(split) / row["vessels"]).convert("RGB").save(encoded, format="PNG")
    return {"vessels": {"path": None, "bytes": encoded.getvalue()}}


def _scores(vessels: dict[str, np.ndarray], expected: np.ndarray) -> dict[str, float]:
    scores = {}
    for name, found in vessels.items():
        for measure, function in MEASURES.items():
            scores[f"{measure} {name}"] = function(found, expected)
        scores[f"invented {name}"] = float((found & ~expected).sum() / max(1, found.sum()))
        scores[f"lost {name}"] = float((expected & ~found).sum() / max(1, expected.sum()))
    return scores


def _table(results: dict[str, dict[str, float]]) -> str:
    names = ("degraded", "enhanced", "clear")
    lines = [
        "| data set | degradation | Dice: degraded, enhanced, clear | won back | clDice | invented | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, scores in results.items():
        shown = [
            ", ".join(f"{scores[f'{measure} {name}']:.3f}" for name in names)
            for measure in ("dice", "clDice", "invented", "lost")
        ]
        missing = scores["dice clear"] - scores["dice degraded"]
        won = (scores["dice enhanced"] - scores["dice degraded"]) / missing if missing > 0 else 1.0
        data_set, degradation = key.split(" | ")
        lines.append(f"| {data_set} | {degradation} | {shown[0]} | {won:.0%} | {shown[1]} | {shown[2]} | {shown[3]} |")
    return "\n".join(lines)


def _overlay(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    picture = np.zeros((*found.shape, 3), dtype=np.float32)
    picture[found & expected] = KEPT
    picture[found & ~expected] = NEW
    picture[expected & ~found] = LOST
    return picture
