"""What each adaptor, blends of two and two in sequence do to each degradation and to combinations of two.

    python recipes/benchmark.py blends

A blend is the weighted sum of adaptors in every layer (`set_adaptor_weights`, weights 1); in a sequence the second
adaptor enhances what the first one made (`Enhancer.set_adaptor_sequence`). Writes its JSON, and the
section of the results document from it: gain in PSNR over the degraded photograph, in the field of view; for clear
photographs, the PSNR to themselves.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks._documented_results import document_results
from retina_adapt.adaptors import load_adaptor, set_adaptor_weights
from retina_adapt.backbones import load_backbone
from retina_adapt.configuration import parse_configuration
from retina_adapt.data import PhotographSource, PreparedPhotographs, open_sources
from retina_adapt.data.draws import seed_of
from retina_adapt.data.preparation import mirror_outside
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder
from retina_adapt.enhancement import enhance_frames
from retina_adapt.evaluation import score_image
from retina_adapt.markdown import markdown_table

CLEAR = "clear"
THEN = ", then "


def default_photographs() -> list[PhotographSource]:
    """A few clear photographs of each test split."""
    clear = {"cataract_score": [0, 2.5]}
    return [
        PhotographSource(path="corpus/hrf", split="test", limit=4),
        PhotographSource(path="corpus/chase_db1", split="test", limit=4),
        PhotographSource(path="corpus/csdi", split="test", where=clear, limit=4),
    ]


@dataclass
class BlendsConfig:
    """Everything that recipes/benchmark.py blends reads.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        photographs: clear ones.
        degradations: rows of the matrix; several with a `+` between them are done one after the other.
        adaptors: columns of the matrix, embedded names; several with a `+` between them are blended, those with
            `, then ` between them used one after the other.
        backbone: embedded name or folder.
        seed: of the degradations.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/blends.json"
    document: str = "docs/results.md"
    photographs: list[PhotographSource] = field(default_factory=default_photographs)
    degradations: list[str] = field(
        default_factory=lambda: ["light", "blur", "spots", "haze", "mixed", "blur+haze", "light+spots"]
    )
    adaptors: list[str] = field(
        default_factory=lambda: [
            *("light", "blur", "spots", "haze", "mixed"),
            *("blur+haze", "light+spots"),
            *("haze, then blur", "spots, then light", "mixed, then blur"),
        ]
    )
    backbone: str = DEFAULT_BACKBONE
    seed: int = 1
    only_document: bool = False


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(BlendsConfig, description=__doc__)
    document_results("blends", config, lambda: measure(config), section)


def measure(config: BlendsConfig) -> dict:
    """ "gains" by degradation and adaptor, and the number of "photographs"."""
    adapted = load_backbone(backbone_folder(config.backbone)).requires_grad_(False)
    size = adapted.settings.image_size
    backbone = adapted
    blends = [blend for column in config.adaptors for blend in column.split(THEN)]
    for name in sorted({name for blend in blends for name in blend.split("+")}):
        adapted = load_adaptor(adapted, adaptor_folder(name), name)
    adapted.requires_grad_(False)
    photographs = PreparedPhotographs(open_sources(config.photographs), size)
    results: dict[str, dict[str, float]] = {}
    for degradation in [CLEAR, *config.degradations]:
        scores: dict[str, list[float]] = {}
        for index in range(len(photographs)):
            high, mask = photographs[index].image, photographs[index].mask
            low = high
            for position, preset in enumerate([] if degradation == CLEAR else degradation.split("+")):
                drawn = draw_degradation(preset, seed=seed_of(config.seed, index, position))
                low = mirror_outside(apply_degradation(low, mask, drawn), mask)
            before = score_image(low, high, mask).psnr
            scores.setdefault("degraded", []).append(before)
            frame = torch.from_numpy(np.ascontiguousarray(low.transpose(2, 0, 1)))[None]
            for column in config.adaptors:
                enhanced = frame
                for blend in column.split(THEN):
                    set_adaptor_weights(adapted, dict.fromkeys(blend.split("+"), 1.0))
                    enhanced = enhance_frames(backbone, enhanced)
                after = score_image(enhanced[0].permute(1, 2, 0).numpy(), high, mask).psnr
                scores.setdefault(column, []).append(after if degradation == CLEAR else after - before)
        results[degradation] = {name: float(np.mean(values)) for name, values in scores.items()}
        print(degradation, {name: round(value, 2) for name, value in results[degradation].items()}, flush=True)
    return {"photographs": len(photographs), "gains": results}


def section(results: dict) -> list[str]:
    """The section of the document from the results alone."""
    gains = results["gains"]
    adaptors = [name for name in gains[CLEAR] if name != "degraded"]
    return [
        "## What each adaptor does to each degradation, and two together",
        "```sh\npython recipes/benchmark.py blends\n```",
        f"Gain in PSNR over the degraded photograph in dB, {results['photographs']} photographs of the test splits; "
        "for clear photographs, the PSNR between them and themselves enhanced. `a+b` as a column blends two adaptors "
        "(`set_adaptor_weights`, weights 1), as a row it does both faults to one photograph; `a, then b` uses them one "
        "after the other (`set_adaptor_sequence`).",
        _table(gains, adaptors),
    ]


def _table(results: dict[str, dict[str, float]], adaptors: list[str]) -> str:
    rows = []
    for degradation, scores in results.items():
        shown = [f"{scores[name]:.1f}" if degradation == CLEAR else f"{scores[name]:+.1f}" for name in adaptors]
        rows.append([degradation, f"{scores['degraded']:.1f}", *shown])
    return markdown_table(["", "degraded", *adaptors], rows, text_columns=1)
