"""Vessels before and after enhancement, against an observer's masks.

    python recipes/benchmark.py structure

Clear photographs with vessel masks are degraded and enhanced at `size` pixels as a user would (`Enhancer`), and once
more with a single look at the frame (`detail="guided"`). Vessels are found by the ridge filter of
`retina_adapt.evaluation.vessel_map`, which has no learned weights, in the degraded, the enhanced and the clear
photograph alike. Writes its JSON, the section of the results document from it, and a sheet with an overlay of kept
(grey), new (red) and lost (blue) vessels.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._documented_results import document_results
from benchmarks._targets import tally
from retina_adapt.configuration import parse_configuration
from retina_adapt.data import DegradePair, Draw, PreparedPhotographs, load_images
from retina_adapt.data.draws import seed_of
from retina_adapt.embedded import DEFAULT_BACKBONE
from retina_adapt.enhancement import Enhancer
from retina_adapt.evaluation import PictureRow, centerline_dice, dice, vessel_map, write_picture_sheet
from retina_adapt.markdown import markdown_table

MASK_THRESHOLD = 0.5
KEPT, NEW, LOST = (0.75, 0.75, 0.75), (1.0, 0.2, 0.1), (0.2, 0.5, 1.0)
MEASURES = {"dice": dice, "clDice": centerline_dice}
INVENTED = {"invented": "as a share of those found", "false positives": "as a share of the field without vessels"}
PICTURES = ("degraded", "enhanced", "clear")
GUIDED = "guided"
THEN = ", then "

SHARE_TO_WIN_BACK = 2 / 3
LEAST_LOSS = 0.02
"""Of Dice; where a degradation takes less, there is nothing to win back, and a share of it says nothing."""

Scores = dict[str, float]


@dataclass
class StructureConfig:
    """Everything that recipes/benchmark.py structure reads.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        sheet: picture sheet to look at. It shows photographs of the data sets: keep it out of the project.
        folders: data sets with a column `vessels` of mask files, relative to the split's folder, by name.
        adaptors: the adaptor, embedded name or folder, for each degradation.
        then: for some degradations, a further adaptor that the result goes through, in a row besides.
        split: of the photographs.
        size: side of the squares around the field of view, in pixels.
        backbone: embedded name or folder.
        seed: of the degradations.
        pictures: photographs of each data set and degradation on the overlay sheet.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/structure.json"
    document: str = "docs/results.md"
    sheet: str = "runs/structure/structure.png"
    folders: dict[str, str] = field(default_factory=lambda: {"HRF": "corpus/hrf", "CHASE_DB1": "corpus/chase_db1"})
    adaptors: dict[str, str] = field(
        default_factory=lambda: {name: name for name in ("light", "blur", "spots", "haze", "mixed")}
    )
    then: dict[str, str] = field(default_factory=lambda: {"mixed": "blur"})
    split: str = "test"
    size: int = 512
    backbone: str = DEFAULT_BACKBONE
    seed: int = 1
    pictures: int = 1
    only_document: bool = False


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(StructureConfig, description=__doc__)
    document_results("structure", config, lambda: measure(config), section)


def measure(config: StructureConfig) -> dict:
    """The results for the JSON file; writes the sheet."""
    enhancer = Enhancer.from_pretrained(config.backbone)
    loaded = {degradation: enhancer.load_adaptor(name) for degradation, name in config.adaptors.items()}
    sequences = [(degradation, [adaptor]) for degradation, adaptor in loaded.items()]
    for degradation, further in config.then.items():
        if degradation in loaded:
            name = loaded[further] if config.adaptors.get(further) == further else enhancer.load_adaptor(further)
            sequences.append((degradation, [loaded[degradation], name]))
    rows: dict[str, dict[str, Scores]] = {}
    photographs_of: dict[str, int] = {}
    sheet: list[PictureRow] = []
    for data_set, folder in config.folders.items():
        images = load_images(folder, split=config.split)
        images = images.map(_with_mask, fn_kwargs={"split": str(Path(folder) / config.split)})
        photographs = PreparedPhotographs(images, config.size, companion_column="vessels")
        photographs_of[data_set] = len(photographs)
        rows[data_set] = {}
        for degradation, sequence in sequences:
            enhancer.set_adaptor_sequence(sequence)
            row = degradation + "".join(f"{THEN}{name}" for name in sequence[1:])
            degrade = DegradePair(degradation)
            found: list[Scores] = []
            for index in range(len(photographs)):
                photograph, vessel_mask = photographs.with_companion(index)
                expected = vessel_mask.image[..., 0] > MASK_THRESHOLD
                pair = degrade(photograph, Draw(index, seed_of(config.seed, index)))
                low = pair["low"].permute(1, 2, 0).numpy()
                high = enhancer(low, mask=photograph.mask)
                pictures = dict(zip(PICTURES, (low, high, photograph.image), strict=True))
                one_look = enhancer(low, mask=photograph.mask, detail=GUIDED)
                vessels = {
                    name: vessel_map(picture, photograph.mask)
                    for name, picture in (pictures | {GUIDED: one_look}).items()
                }
                found.append(_scores(vessels, expected, photograph.mask))
                if index < config.pictures:
                    overlays = [_overlay(vessels[name], vessels["clear"]) for name in ("degraded", "enhanced")]
                    label = f"{data_set} {row}"
                    sheet.append(PictureRow(label, [*pictures.values(), *overlays], [None] * 5))
            rows[data_set][row] = {key: float(np.mean([scores[key] for scores in found])) for key in found[0]}
            print(f"{data_set}, {row}: {rows[data_set][row]}", flush=True)
    settings = {"size": config.size, "split": config.split, "photographs": photographs_of}
    columns = ["degraded", "enhanced", "clear", "vessels of degraded", "vessels of enhanced"]
    write_picture_sheet(config.sheet, sheet, columns)
    return {"settings": settings, "rows": rows}


def section(results: dict) -> list[str]:
    """The section of the document from the results alone."""
    settings, rows, short = results["settings"], [], []
    above: dict[str, list[str]] = {measure: [] for measure in INVENTED}
    judged = total = 0
    for data_set, by_degradation in results["rows"].items():
        for degradation, scores in by_degradation.items():
            won, won_guided = won_back(scores), won_back(scores, GUIDED)
            name = f"{degradation} on {data_set}"
            if THEN not in degradation:
                total += 1
                judged += won is not None
                if won is not None and won < SHARE_TO_WIN_BACK:
                    short.append(f"{name} ({won:.0%})")
                for measure, missed in above.items():
                    enhanced, clear = scores[f"{measure} enhanced"], scores[f"{measure} clear"]
                    if enhanced > clear:
                        missed.append(f"{name} ({enhanced:.3f} to {clear:.3f})")
            shown = [
                ", ".join(f"{scores[f'{measure} {picture}']:.3f}" for picture in PICTURES)
                for measure in (*MEASURES, *INVENTED, "lost")
            ]
            shown[1:1] = ["–" if share is None else f"{share:.0%}" for share in (won, won_guided)]
            rows.append([data_set, degradation, *shown])
    photographs = ", ".join(f"{name} ({count})" for name, count in settings["photographs"].items())
    return [
        "## Vessels against observers' masks",
        "```sh\npython recipes/benchmark.py structure\n```",
        f"Photographs of {photographs}, split `{settings['split']}`, at {settings['size']} px, degraded by the presets "
        "and enhanced by the embedded adaptor of the same name as `retina-adapt enhance` does. Vessels are found by a "
        "ridge filter without learned weights (`retina_adapt.evaluation.vessel_map`) in the degraded, the enhanced and "
        "the clear photograph, whose figures a cell gives in this order, and compared with an observer's mask. "
        "`won back`: of the Dice that the degradation took away; a dash where it took less than "
        f"{LEAST_LOSS} (the filter normalises light locally), so that there is nothing to win back; "
        f"`{GUIDED}`: the same with a single look at the frame (`--detail {GUIDED}`). `invented`: what is found "
        "and the observer has not drawn, as a share of what is found, which rises where fewer of the observer's are "
        "found; `false positives`: the same as a share of the field without vessels. `lost`: share of the observer's "
        "that are not found. A row `a, then b` is the degradation `a` enhanced by the adaptors `a` and `b` in sequence "
        "(`--then b`); the targets are those of one adaptor.",
        markdown_table(
            ["data set", "degradation", "Dice", "won back", GUIDED, "clDice", "invented", "false positives", "lost"],
            rows,
        ),
        _verdict(f"at least {SHARE_TO_WIN_BACK:.0%} of the Dice lost is won back", judged, short),
        *(
            _verdict(f"no more invented vessels than on the clear photograph itself, {share}", total, above[measure])
            for measure, share in INVENTED.items()
        ),
    ]


def won_back(scores: Scores, picture: str = "enhanced") -> float | None:
    """Share of the Dice lost to degradation that a picture has again; None where less than `LEAST_LOSS` was lost."""
    loss = scores["dice clear"] - scores["dice degraded"]
    return (scores[f"dice {picture}"] - scores["dice degraded"]) / loss if loss >= LEAST_LOSS else None


def _verdict(target: str, total: int, missed: list[str]) -> str:
    return f"Target: {target}. {tally(total, missed)}: **{'missed' if missed else 'met'}**."


def _with_mask(row: dict[str, Any], split: str) -> dict[str, Any]:
    # Paths in a data set's metadata are relative to its split's folder; a companion has its photograph's channels.
    encoded = io.BytesIO()
    Image.open(Path(split) / row["vessels"]).convert("RGB").save(encoded, format="PNG")
    return {"vessels": {"path": None, "bytes": encoded.getvalue()}}


def _scores(vessels: dict[str, np.ndarray], expected: np.ndarray, mask: np.ndarray) -> Scores:
    """All masks bool (H, W): vessels found in each picture, the observer's, the field of view."""
    expected = expected & mask
    background = max(1, int((mask & ~expected).sum()))
    scores = {}
    for name, found in vessels.items():
        for measure_name, function in MEASURES.items():
            scores[f"{measure_name} {name}"] = function(found, expected)
        invented = int((found & ~expected).sum())
        scores[f"invented {name}"] = invented / max(1, int(found.sum()))
        scores[f"false positives {name}"] = invented / background
        scores[f"lost {name}"] = float((expected & ~found).sum() / max(1, expected.sum()))
    return scores


def _overlay(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    picture = np.zeros((*found.shape, 3), dtype=np.float32)
    picture[found & expected] = KEPT
    picture[found & ~expected] = NEW
    picture[expected & ~found] = LOST
    return picture
