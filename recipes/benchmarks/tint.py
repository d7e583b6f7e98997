"""How much of what the embedded adaptors miss is the photograph's tint, which a degradation can leave to be guessed.

    python recipes/benchmark.py tint

The tint is the mean colour in the field of view. An adaptor cannot tell a dim photograph from a dark eye; where nothing
else says it, the best guess is what the camera's photographs have on the average. Writes its JSON, and the section of
the results document from it: PSNR as enhanced, PSNR if the tint were given, and what the guess alone costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from evaluate import EvaluateConfig, EvaluatedDegradation, label_of
from torch import Tensor

from benchmarks._documented_results import document_results
from retina_adapt.configuration import ConfigurationError, parse_configuration
from retina_adapt.data import (
    EvaluationBatchSampler,
    PairSource,
    PhotographSource,
    PreparedPhotographs,
    open_pairs,
    open_sources,
)
from retina_adapt.data.pairs import PairItem
from retina_adapt.enhancement import Enhancer, enhance_frames
from retina_adapt.markdown import markdown_table


@dataclass
class TintConfig:
    """Everything that recipes/benchmark.py tint reads.

    Args:
        evaluation: configuration of recipes/evaluate.py: backbone, data sets, degradations and seed.
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        only_document: measure nothing; write the document from the results there are.
    """

    evaluation: str = "recipes/configs/evaluate_nano.yaml"
    results: str = "docs/results/tint.json"
    document: str = "docs/results.md"
    only_document: bool = False


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(TintConfig, description=__doc__)
    document_results("tint", config, lambda: measure(config), section)


def measure(config: TintConfig) -> dict:
    """ "guesses" by data set; "enhanced", a row for each adaptor and data set."""
    asked = parse_configuration(EvaluateConfig, description="", arguments=["--config", config.evaluation])
    enhancer = Enhancer.from_pretrained(asked.backbone)
    size = enhancer.backbone.settings.image_size
    sources = {data_set.name: data_set.photographs for data_set in asked.data_sets}
    if len(sources) < 2:
        raise ConfigurationError(f"{config.evaluation}: has one data set; the tint of other cameras needs two or more")
    enhanced = []
    for degradation in asked.degradations:
        for adaptor in degradation.adaptors:
            name = enhancer.load_adaptor(adaptor)
            enhancer.set_adaptor(name)
            for data_set, source in sources.items():
                pairs = degraded_pairs(source, degradation, asked.seed, size)
                whole, of_tint = np.array(
                    [square_errors(enhance_frames(enhancer.backbone, item["low"][None])[0], item) for item in pairs]
                ).T
                enhanced.append(
                    {
                        "degradation": label_of(degradation),
                        "adaptor": name,
                        "data set": data_set,
                        "enhanced": mean_psnr(whole),
                        "tint given": mean_psnr(whole - of_tint),
                        "share": float(np.mean(of_tint / whole)),
                    }
                )
            enhancer.delete_adaptor(name)
    return {"guesses": guesses(sources, size), "enhanced": enhanced}


def guesses(sources: dict[str, PhotographSource], size: int) -> dict[str, dict[str, float]]:
    """Of each data set's photographs, the mean PSNR with the mean tint of "its own" camera, and of "the others"."""
    trained = {name: tints_of(replace(source, split="train"), size) for name, source in sources.items()}
    found = {}
    for name, source in sources.items():
        tested = tints_of(source, size)
        known = {
            "its own": trained[name],
            "the others": np.concatenate([tints for other, tints in trained.items() if other != name]),
        }
        found[name] = {
            camera: mean_psnr(np.mean((tested - tints.mean(axis=0)) ** 2, axis=1)) for camera, tints in known.items()
        }
    return found


def tints_of(source: PhotographSource, size: int) -> np.ndarray:
    """Mean colour of each clear photograph in its field of view, (photographs, channels)."""
    photographs = PreparedPhotographs(open_sources([source]), size)
    return np.array([photograph.image[photograph.mask].mean(axis=0) for photograph in photographs])


def degraded_pairs(
    source: PhotographSource, degradation: EvaluatedDegradation, seed: int, size: int
) -> Iterator[PairItem]:
    """The pairs that recipes/evaluate.py scores."""
    pairs = open_pairs(PairSource(clear=[source], degradation=degradation.preset, severity=degradation.severity), size)
    for seed_of_draw in range(seed, seed + degradation.draws):
        for (draw,) in EvaluationBatchSampler(len(pairs), 1, seed=seed_of_draw):
            yield pairs[draw]


def square_errors(enhanced: Tensor, item: PairItem) -> tuple[float, float]:
    """Mean square error of the enhanced frame (C, S, S) in the field of view, and how much of it its tint makes."""
    difference = (enhanced - item["high"])[:, item["mask"][0]]
    return float(difference.square().mean()), float(difference.mean(dim=1).square().mean())


def mean_psnr(mean_square_errors: np.ndarray) -> float:
    """Mean over photographs, in dB."""
    return float(np.mean(-10 * np.log10(mean_square_errors)))


def section(results: dict) -> list[str]:
    """The section of the document from the results alone."""
    return [
        "## How much of the error is the tint",
        "```sh\npython recipes/benchmark.py tint\n```",
        "Dim, veiled or discoloured, a photograph no longer says how bright and of what colour the clear one was: a "
        "dark eye and dim light look alike. What is left is a guess. First, what the guess alone costs: PSNR in dB of "
        "clear photographs of the `test` splits, perfect but for their tint (mean colour in the field of view), which "
        "is the mean of the `train` photographs of the same camera, or of the other cameras.",
        markdown_table(
            ["data set", "tint of its own camera", "tint of the other cameras"],
            [
                [data_set, f"{guess['its own']:.1f}", f"{guess['the others']:.1f}"]
                for data_set, guess in results["guesses"].items()
            ],
            text_columns=1,
        ),
        "Then the embedded adaptors, mode `fast`, on the photographs and degradations of the table above: PSNR in dB "
        "as enhanced; if the tint were given, by a constant in each channel; and the share of the mean square error "
        "that the tint makes, averaged over photographs.",
        markdown_table(
            ["degradation", "adaptor", "data set", "enhanced", "tint given", "share"],
            [
                [
                    *(row[key] for key in ("degradation", "adaptor", "data set")),
                    *(f"{row[key]:.2f}" for key in ("enhanced", "tint given")),
                    f"{row['share']:.0%}",
                ]
                for row in results["enhanced"]
            ],
            text_columns=3,
        ),
    ]
