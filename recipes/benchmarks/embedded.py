"""The embedded adaptors: how they were trained, and what they do to the photographs of the test splits.

    python recipes/evaluate.py --config recipes/configs/evaluate_nano.yaml
    python recipes/benchmark.py embedded

Gathers the evaluation's summaries and what the adaptors' own files tell in one JSON file, and writes the section of the
results document from it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from adapt import AdaptConfig

from benchmarks._documented_results import document_results
from benchmarks._targets import GAIN_TARGET, missed_gains, tally
from retina_adapt.adaptors import describe_adaptor
from retina_adapt.configuration import parse_configuration
from retina_adapt.embedded import adaptor_folder
from retina_adapt.markdown import markdown_table

CLAHE, DEGRADED, FAST = "CLAHE", "degraded", "fast"
COMMANDS = """```sh
for name in {names}; do
    accelerate launch recipes/adapt.py --config recipes/configs/adapt_$name.yaml
    cp -r runs/nano/$name/adaptor/. retina_adapt/embedded/adaptors/$name
done
python recipes/evaluate.py --config recipes/configs/evaluate_nano.yaml
python recipes/benchmark.py embedded
```"""

Means = dict[str, dict[str, float]]  # of each method: "psnr", "ssim", "color_difference"


@dataclass
class EmbeddedConfig:
    """Everything that recipes/benchmark.py embedded reads.

    Args:
        evaluation: what recipes/evaluate.py wrote.
        results: JSON file for what is gathered.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        adaptors: embedded names; each is evaluated on the degradation of its name.
        configurations: where the adaptors' training configurations are, `adapt_<name>.yaml`.
        only_document: gather nothing; write the document from the results there are.
    """

    evaluation: str = "runs/nano/evaluation/results.json"
    results: str = "docs/results/embedded.json"
    document: str = "docs/results.md"
    adaptors: list[str] = field(default_factory=lambda: ["light", "blur", "spots", "haze", "mixed"])
    configurations: str = "recipes/configs"
    only_document: bool = False


def main() -> None:
    """Gather, write, print."""
    config = parse_configuration(EmbeddedConfig, description=__doc__)
    document_results("embedded", config, lambda: gather(config), section)


def gather(config: EmbeddedConfig) -> dict:
    """ "trainings" by adaptor; "images" by data set; "scores" and "gains" by data set and degradation; "protocol"."""
    trainings = {}
    for name in config.adaptors:
        path = str(Path(config.configurations) / f"adapt_{name}.yaml")
        asked = parse_configuration(AdaptConfig, description="", arguments=["--config", path])
        description = describe_adaptor(adaptor_folder(name))
        trainings[name] = {
            "small_frames": asked.small_frames.steps,
            "second_look": asked.second_look.steps,
            "steps": description.metadata.training_steps,
            "batch_size": asked.autoencoder.batch_size,
            "second_look_batch_size": asked.second_look.batch_size,
            "learning_rate": asked.autoencoder.learning_rate,
            "learning_rate_decay": asked.autoencoder.learning_rate_decay,
            "clear_share": asked.train.clear_share,
            "tone_variation": asked.train.tone_variation,
            "color_variation": asked.train.color_variation,
            "seed": description.metadata.seed,
            "metrics": description.metadata.metrics,
        }
    evaluation = json.loads(Path(config.evaluation).read_text(encoding="utf-8"))
    scores: dict[str, dict[str, Means]] = {}
    draws: dict[str, int] = {}
    images: dict[str, int] = {}
    for data_set in dict.fromkeys(summary["data_set"] for summary in evaluation["summaries"]):
        images[data_set] = len({row["image"] for row in evaluation["rows"] if row["data_set"] == data_set})
    for summary in evaluation["summaries"]:
        data_set, degradation = summary["data_set"], summary["degradation"]
        # A degradation may be drawn several times for each photograph.
        draws[degradation] = summary["images"] // images[data_set]
        method = summary["method"].removeprefix(f"{degradation}, ")
        scores.setdefault(data_set, {}).setdefault(degradation, {})[method] = {
            measure: summary["measures"][measure]["mean"] for measure in ("psnr", "ssim", "color_difference")
        }
    return {
        "trainings": trainings,
        "images": images,
        "draws": draws,
        "scores": scores,
        "gains": gains_of(evaluation["rows"]),
        "protocol": evaluation["protocol"],
    }


def gains_of(rows: list[dict]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """By data set, degradation and method: the gain in PSNR and its standard error over photographs, in dB.

    A photograph's gain is the mean over its draws, which are not independent of each other.
    """
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in rows:
        method = row["method"].removeprefix(f"{row['degradation']}, ")
        of_photographs = found.setdefault((row["data_set"], row["degradation"], method), {})
        of_photographs.setdefault(row["image"], []).append(row["scores"]["psnr"])
    gains: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (data_set, degradation, method), by_photograph in found.items():
        before = found[data_set, degradation, DEGRADED]
        gain = np.array([np.mean(after) - np.mean(before[name]) for name, after in by_photograph.items()])
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        cell = gains.setdefault(data_set, {}).setdefault(degradation, {})
        cell[method] = [float(gain.mean()), float(error)]
    return gains


def section(results: dict) -> list[str]:
    """The section of the document from the results alone."""
    trainings, scores, protocol = results["trainings"], results["scores"], results["protocol"]
    methods = list(dict.fromkeys(method for cells in scores.values() for means in cells.values() for method in means))
    photographs = ", ".join(f"{name} ({count})" for name, count in results["images"].items())
    often = sorted(set(results["draws"].values()))
    repeated = f", each {' or '.join(map(str, often))} times" if often != [1] else ""
    return [
        "## The embedded adaptors",
        COMMANDS.format(names=" ".join(trainings)),
        "Trained with the committed configurations: steps on small frames of 128 px, then on whole ones of 256 px, "
        "then on those of 256 and 512 px together (`second_look`), then in the denoiser's middle blocks; pairs a step "
        "before the second look, and in it. Every pair is a clear photograph of a `train` split degraded anew. "
        "`clear`: how often a photograph was left as it is; `tones`, `colors`: how much its tone and its colours "
        "varied (`tone_variation`, `color_variation`). Validation: PSNR in dB and SSIM of the degraded and the "
        "enhanced, in the mode `fast`.",
        markdown_table(
            [
                "adaptor",
                "128 px",
                "256 px",
                "256 and 512 px",
                "denoiser",
                "pairs a step",
                "learning rate, its decay",
                "clear",
                "tones",
                "colors",
                "seed",
                "validation",
            ],
            [_training_line(name, training) for name, training in trainings.items()],
        ),
        f"Photographs of the `test` splits, {photographs}, degraded by the preset of the adaptor's name"
        f"{repeated}; PSNR in dB / SSIM / CIEDE2000, in the field of view at {protocol['frame_size']} px. `gain`: of "
        f"the mode `{FAST}` in PSNR, ± its standard error over the photographs.",
        markdown_table(
            ["data set", "degradation", *methods, "gain"],
            [
                [
                    *(data_set, degradation),
                    *(_scores(means.get(method)) for method in methods),
                    "{:+.2f} ± {:.2f}".format(*results["gains"][data_set][degradation][FAST]),
                ]
                for data_set, cells in scores.items()
                for degradation, means in cells.items()
            ],
        ),
        "Protocol: " + "; ".join(f"{measure}: {how}" for measure, how in protocol.items()) + ".",
        *(_verdict(scores, method) for method in methods if method not in (DEGRADED, CLAHE)),
    ]


def _training_line(name: str, training: dict) -> list[str]:
    steps, metrics = training["steps"], training["metrics"]
    return [
        name,
        str(training["small_frames"]),
        str(steps["autoencoder"] - training["small_frames"] - training["second_look"]),
        str(training["second_look"]),
        str(steps.get("denoiser", 0)),
        str(training["batch_size"]) + (f", {training['second_look_batch_size']}" if training["second_look"] else ""),
        f"{training['learning_rate']:g}, {training['learning_rate_decay']}",
        f"{training['clear_share']:.0%}",
        f"{training['tone_variation']:g}",
        f"{training['color_variation']:g}",
        str(training["seed"]),
        f"{metrics['fast psnr_degraded']:.2f} → {metrics['fast psnr']:.2f}, "
        f"{metrics['fast ssim_degraded']:.3f} → {metrics['fast ssim']:.3f}",
    ]


def _verdict(scores: dict[str, dict[str, Means]], method: str) -> str:
    cells = {
        f"{degradation} on {data_set}": (means[DEGRADED]["psnr"], means[method]["psnr"] - means[DEGRADED]["psnr"])
        for data_set, by_degradation in scores.items()
        for degradation, means in by_degradation.items()
    }
    missed, gains = missed_gains(cells), [gain for _, gain in cells.values()]
    return (
        f"Target for `{method}`: {GAIN_TARGET}. {tally(len(cells), missed, 'cells')}; gains from {min(gains):.1f} to "
        f"{max(gains):.1f} dB: **{'missed' if missed else 'met'}**."
    )


def _scores(means: dict[str, float] | None) -> str:
    return f"{means['psnr']:.2f} / {means['ssim']:.3f} / {means['color_difference']:.1f}" if means else "–"
