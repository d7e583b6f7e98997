"""`retina-adapt check-pairs`: whether the two photographs of a pair show the same eye in the same place."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from retina_adapt.commands.batch import batch_progress
from retina_adapt.data import Alignment, Draw, PreparationError, measure_alignment, paired_folders, require_two_folders
from retina_adapt.data.alignment import MEASURED_SIZE
from retina_adapt.imaging import FieldOfViewShape

# Half a pixel of a network's frame of 256 px, one pixel of the frame measured here. With more, an adaptor learns less
# about fine vessels; pairs that are not shifted measure less, however degraded (docs/data.md shows both).
LARGEST_SHIFT = 0.002
LEAST_LIKENESS = 0.28


@dataclass(frozen=True)
class CheckedPairs:
    """The outcome of a check.

    Attributes:
        alignments: the alignment of each pair, by the clear photograph's path.
        doubts: a line for each pair that should not be trained on as it is, beginning with that path.
        broken: a line for each pair that cannot be prepared.
    """

    alignments: dict[str, Alignment]
    doubts: list[str]
    broken: list[str]


def check_pairs(low: Path, high: Path, *, field_of_view: FieldOfViewShape, console: Console) -> CheckedPairs:
    """Measure every pair that `recipes/adapt.py` would form from two folders, and say which are doubtful.

    Raises:
        PairingError, ImageReadError: see `paired_folders`.
    """
    require_two_folders(low, high)
    try:
        pairs = paired_folders(low, high, MEASURED_SIZE, field_of_view=field_of_view, largest_broken_share=1.0)
    except PreparationError as error:
        if not error.broken:
            raise
        # No pair can be prepared.
        return CheckedPairs({}, [], list(error.broken))
    alignments = {}
    with batch_progress(console) as progress:
        for index, name in enumerate(progress.track(pairs.prepared.names, description="Comparing")):
            item = pairs[Draw(index, 0)]
            low_image, high_image = (item[key].permute(1, 2, 0).numpy() for key in ("low", "high"))
            alignments[name] = measure_alignment(low_image, high_image, item["mask"][0].numpy())
    doubts = [f"{name}: {doubt}" for name, alignment in alignments.items() if (doubt := doubt_about(alignment))]
    return CheckedPairs(alignments, doubts, pairs.prepared.broken)


def doubt_about(alignment: Alignment) -> str:
    """What is wrong with a pair, and what to do about it; "" if nothing is."""
    if alignment.likeness < LEAST_LIKENESS:
        return (
            f"its vessels hardly match its partner's (likeness {alignment.likeness:.2f}): another eye, turned or "
            "enlarged, or too faulty to tell; look at both"
        )
    if alignment.shift > LARGEST_SHIFT:
        down, right = alignment.down, alignment.right
        places = [
            f"{abs(amount):.1%} {word}"
            for amount, word in ((down, "down" if down > 0 else "up"), (right, "right" if right > 0 else "left"))
            if abs(amount) >= 0.0005
        ]
        return (
            f"its partner is shifted by {' and '.join(places)} (of the eye's width); 'retina-adapt register-pairs' may "
            "mend that, else leave the pair out"
        )
    return ""
