"""The embedded adaptors: how they were trained, and what they do to the photographs of the test splits.

    python recipes/evaluate.py --config recipes/configs/evaluate_nano.yaml
    python recipes/benchmark.py embedded

Gathers the evaluation's summaries and what the adaptors' own files tell in one JSON file, and writes the section of the
results document from it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from adapt import AdaptConfig

from benchmarks._documented_results import document_results
from benchmarks._targets import GAIN_TARGET, missed_gains, tally
from retina_adapt.adaptors import describe_adaptor
from retina_adapt.configuration import parse_configuration
from retina_adapt.embedded import adaptor_folder
from retina_adapt.markdown import markdown_table

CLAHE, DEGRADED = "CLAHE", "degraded"
COMMANDS = """```sh
for name in {trainings}; do
    accelerate launch recipes/adapt.py --config recipes/configs/adapt_$name.yaml
done
for name in {names}; do
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
    """ "trainings" by adaptor; "images" by data set; "scores" by data set and degradation; the "protocol"."""
    trainings = {}
    for name in config.adaptors:
        metadata = describe_adaptor(adaptor_folder(name)).metadata
        first, last = _configurations(name, Path(config.configurations))
        if first is not None:
            trainings[_first(name)] = _training(first)
        trainings[name] = _training(last) | {
            "steps": metadata.training_steps["autoencoder"],
            "denoiser_steps": metadata.training_steps.get("denoiser", 0),
            "seed": metadata.seed,
            "metrics": metadata.metrics,
        }
    evaluation = json.loads(Path(config.evaluation).read_text(encoding="utf-8"))
    scores: dict[str, dict[str, Means]] = {}
    images = {}
    for summary in evaluation["summaries"]:
        data_set, degradation = summary["data_set"], summary["degradation"]
        images[data_set] = summary["images"]
        method = summary["method"].removeprefix(f"{degradation}, ")
        scores.setdefault(data_set, {}).setdefault(degradation, {})[method] = {
            measure: summary["measures"][measure]["mean"] for measure in ("psnr", "ssim", "color_difference")
        }
    return {"trainings": trainings, "images": images, "scores": scores, "protocol": evaluation["protocol"]}


def _configurations(name: str, folder: Path) -> tuple[AdaptConfig | None, AdaptConfig]:
    """Of the adaptor's training, before it that of the one that it goes on from, if it does."""

    def read(training: str) -> AdaptConfig:
        arguments = ["--config", str(folder / f"adapt_{training}.yaml")]
        return parse_configuration(AdaptConfig, description="", arguments=arguments)

    last = read(name)
    return (None if last.start_from is None else read(_first(name))), last


def _first(name: str) -> str:
    return f"{name}_first"


def _training(config: AdaptConfig) -> dict:
    return {
        "small_frames": config.small_frames.steps,
        "second_look": config.second_look.steps,
        "steps": config.autoencoder.steps,
        "denoiser_steps": config.denoiser.steps,
        "batch_size": config.autoencoder.batch_size,
        "second_look_batch_size": config.second_look.batch_size,
        "learning_rate": config.autoencoder.learning_rate,
        "learning_rate_decay": config.autoencoder.learning_rate_decay,
        "clear_share": config.train.clear_share,
        "tone_variation": config.train.tone_variation,
        "color_variation": config.train.color_variation,
        "seed": config.autoencoder.seed,
    }


def section(results: dict) -> list[str]:
    """The section of the document from the results alone."""
    trainings, scores, protocol = results["trainings"], results["scores"], results["protocol"]
    methods = list(dict.fromkeys(method for cells in scores.values() for means in cells.values() for method in means))
    photographs = ", ".join(f"{name} ({count})" for name, count in results["images"].items())
    return [
        "## The embedded adaptors",
        COMMANDS.format(
            trainings=" ".join(trainings),
            names=" ".join(name for name, training in trainings.items() if "metrics" in training),
        ),
        "Trained with the committed configurations: steps on small frames of 128 px, then on whole ones of 256 px, "
        "then on those of 256 and 512 px together (`second_look`), then in the denoiser's middle blocks; pairs a step "
        f"before the second look, and in it. A name with `{_first('')}` is the training that the adaptor goes on from. "
        "Every pair is a clear photograph of a `train` split degraded anew. "
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
        f"Photographs of the `test` splits, {photographs}, degraded by the preset of the adaptor's name; PSNR in dB / "
        f"SSIM / CIEDE2000, in the field of view at {protocol['frame_size']} px.",
        markdown_table(
            ["data set", "degradation", *methods],
            [
                [data_set, degradation, *(_scores(means.get(method)) for method in methods)]
                for data_set, cells in scores.items()
                for degradation, means in cells.items()
            ],
        ),
        "Protocol: " + "; ".join(f"{measure}: {how}" for measure, how in protocol.items()) + ".",
        *(_verdict(scores, method) for method in methods if method not in (DEGRADED, CLAHE)),
    ]


def _training_line(name: str, training: dict) -> list[str]:
    small, second = training["small_frames"], training["second_look"]
    whole = training["steps"] - small - second
    pairs = [training["batch_size"]] * (small + whole > 0) + [training["second_look_batch_size"]] * (second > 0)
    return [
        name,
        str(small),
        str(whole),
        str(second),
        str(training["denoiser_steps"]),
        ", ".join(map(str, pairs)),
        f"{training['learning_rate']:g}, {training['learning_rate_decay']}",
        f"{training['clear_share']:.0%}",
        f"{training['tone_variation']:g}",
        f"{training['color_variation']:g}",
        str(training["seed"]),
        _validation(training.get("metrics")),
    ]


def _validation(metrics: dict[str, float] | None) -> str:
    if metrics is None:
        return "–"
    return (
        f"{metrics['fast psnr_degraded']:.2f} → {metrics['fast psnr']:.2f}, "
        f"{metrics['fast ssim_degraded']:.3f} → {metrics['fast ssim']:.3f}"
    )


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
