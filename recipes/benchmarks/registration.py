"""How many pairs of two takes `retina-adapt register-pairs` registers, and how many pairs of two eyes it takes for one.

    python recipes/benchmark.py registration

Another take of a photograph is simulated: degraded, turned, scaled and shifted. It is registered with the photograph
itself, and with the next one of its data set, which shows another eye. Writes its JSON, and the section of the results
document from it.
"""

import dataclasses
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks._documented_results import document_results
from retina_adapt.commands.check_pairs import LARGEST_SHIFT
from retina_adapt.configuration import parse_configuration
from retina_adapt.data import PhotographSource, RegistrationError, open_sources, register_pair
from retina_adapt.data.rows import as_undecoded_images, row_photograph
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.imaging import Photograph, find_field_of_view
from retina_adapt.markdown import markdown_table

LARGEST_TURN = 5.0  # degrees
LARGEST_CHANGE = 0.05  # of the scale, and of the place in shares of the photograph's sides


@dataclass
class RegistrationConfig:
    """Everything that recipes/benchmark.py registration reads.

    Args:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        photographs: clear ones, each of another eye, by the data set's name.
        degradations: presets that the second take suffers from.
        seed: of the turns, scales and shifts; the photographs' numbers are those of the degradations.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str = "docs/results/registration.json"
    document: str = "docs/results.md"
    photographs: dict[str, PhotographSource] = field(
        default_factory=lambda: {
            "HRF": PhotographSource(path="corpus/hrf", split="test"),
            "CHASE_DB1": PhotographSource(path="corpus/chase_db1", split="test"),
            "CSDI": PhotographSource(path="corpus/csdi", split="test", where={"cataract_score": [0, 2.5]}),
        }
    )
    degradations: list[str] = field(default_factory=lambda: ["light", "blur", "spots", "haze", "mixed"])
    seed: int = 0
    only_document: bool = False


def main() -> None:
    """Measure, write, print."""
    config = parse_configuration(RegistrationConfig, description=__doc__)
    document_results("registration", config, lambda: measure(config), section)


def measure(config: RegistrationConfig) -> dict:
    """The results for the JSON file: by data set and degradation, the shifts left of the pairs of one eye and of two.

    A shift is a share of the eye's width, and null where the pair was refused.
    """
    rows: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for data_set, source in config.photographs.items():
        images = as_undecoded_images(open_sources([source]), "image")["image"]
        photographs = [row_photograph(image, "image", index) for index, image in enumerate(images)]
        rows[data_set] = {}
        for degradation in config.degradations:
            random = np.random.default_rng(config.seed)
            shifts: dict[str, list[float | None]] = {"one eye": [], "two eyes": []}
            for index, photograph in enumerate(tqdm(photographs, desc=f"{data_set}, {degradation}")):
                low = another_take(photograph, degradation, index, random)
                shifts["one eye"].append(shift_left(low, photograph))
                shifts["two eyes"].append(shift_left(low, photographs[(index + 1) % len(photographs)]))
            rows[data_set][degradation] = shifts
    return {"rows": rows}


def another_take(photograph: Photograph, degradation: str, seed: int, random: np.random.Generator) -> Photograph:
    """Degraded, then turned, scaled and shifted within bounds; black where nothing was taken."""
    mask = find_field_of_view(photograph.pixels).mask
    degraded = apply_degradation(photograph.pixels, mask, draw_degradation(degradation, seed=seed)) * mask[:, :, None]
    turn = random.uniform(-LARGEST_TURN, LARGEST_TURN)
    scale, right, down = random.uniform(-LARGEST_CHANGE, LARGEST_CHANGE, 3)
    height, width = mask.shape
    affine = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1 + scale)
    affine[:, 2] += [right * width, down * height]
    taken = cv2.warpAffine(degraded, affine, (width, height), flags=cv2.INTER_CUBIC).clip(0, 1)
    return dataclasses.replace(photograph, pixels=taken)


def shift_left(low: Photograph, high: Photograph) -> float | None:
    """What `measure_alignment` finds after registration; None where they are refused."""
    try:
        return register_pair(low, high, low_name="low", high_name="high").alignment.shift
    except RegistrationError:
        return None


def section(results: dict) -> list[str]:
    """The section of the document from the results alone."""
    rows = []
    for data_set, by_degradation in results["rows"].items():
        for degradation, shifts in by_degradation.items():
            of_one, of_two = shifts["one eye"], shifts["two eyes"]
            written = [shift for shift in of_one if is_written(shift)]
            refused, count = of_one.count(None), len(of_one)
            left = f"{np.median(written):.2%}, {max(written):.2%}" if written else "–"
            wrong = sum(is_written(shift) for shift in of_two)
            rows.append(
                [
                    *(data_set, degradation, f"{len(written)} of {count}"),
                    *(str(refused), str(count - len(written) - refused)),
                    *(left, f"{wrong} of {len(of_two)}"),
                ]
            )
    return [
        "## Registering two takes of an eye",
        "```sh\npython recipes/benchmark.py registration\n```",
        "Each clear photograph of a `test` split is degraded, turned by up to "
        f"{LARGEST_TURN:g} degrees, scaled and shifted by up to {LARGEST_CHANGE:.0%}, and registered with itself as "
        "`retina-adapt register-pairs` does, and with the next photograph of its data set, which shows another eye. "
        f"`registered`: at most {LARGEST_SHIFT:.1%} of the eye's width is left; `refused`: no plausible map was found; "
        "`left out`: a map was found, but more is left. `left`: median and largest of those registered, in steps of a "
        "quarter of a pixel at 512 px, 0.05%. `two eyes`: pairs of two eyes that were registered.",
        markdown_table(["data set", "degradation", "registered", "refused", "left out", "left", "two eyes"], rows),
    ]


def is_written(shift: float | None) -> bool:
    """Whether `retina-adapt register-pairs` writes the pair."""
    return shift is not None and shift <= LARGEST_SHIFT
