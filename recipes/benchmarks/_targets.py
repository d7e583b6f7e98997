"""The target that several benchmarks share, what enhancing must gain, and how they say what met a target."""

from collections.abc import Mapping, Sequence

LEAST_GAIN = 3.0
# In dB: a photograph that comes so near to the clear one is hardly degraded. There, no loss is asked for.
MILD_PSNR = 30.0
GAIN_TARGET = f"at least {LEAST_GAIN:g} dB over the degraded input in every cell; above {MILD_PSNR:g} dB, no loss"


def tally(total: int, missed: Sequence[str], what: str = "") -> str:
    """`12 of 15 cells, not mixed on HRF (+2.81)`."""
    shown = f"{total - len(missed)} of {total} {what}".rstrip()
    return f"{shown}, not {', '.join(missed)}" if missed else shown


def missed_gains(cells: Mapping[str, tuple[float, float]]) -> list[str]:
    """Cells that fall short of `GAIN_TARGET`, each with its gain; a cell is an input's PSNR and the gain over it."""
    return [
        f"{name} ({gain:+.2f})"
        for name, (before, gain) in cells.items()
        if gain < (0 if before > MILD_PSNR else LEAST_GAIN)
    ]
