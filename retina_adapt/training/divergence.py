"""Detect divergence while the loss is still finite: a loss far above its lowest value."""

from dataclasses import dataclass

from retina_adapt.errors import RetinaAdaptError

WINDOW = 50
CALM_FACTOR = 3.0
DIVERGED_FACTOR = 10.0


class TrainingDivergedError(RetinaAdaptError):
    """The loss is no longer a finite number, or has risen far above its lowest value."""


@dataclass
class DivergenceWatch:
    """Compares the smoothed loss with its lowest value so far.

    The smoothed loss is the mean of the first 50 losses, and from then on an exponential average of weight 1/50.
    Nothing is judged before, nor after any loss that is not positive: a multiple of what may cross zero means nothing.

    The fields are plain values, so that a checkpoint can hold them and a resumed run is judged like an uninterrupted
    one.
    """

    observed: int = 0
    latest: float = 0.0
    smoothed: float = 0.0
    lowest: float | None = None
    always_positive: bool = True

    def observe(self, loss: float) -> None:
        """Take in the loss of one more step, which must be finite."""
        self.observed += 1
        self.latest = loss
        self.smoothed += (loss - self.smoothed) / min(self.observed, WINDOW)
        self.always_positive = self.always_positive and loss > 0
        if self.observed >= WINDOW:
            self.lowest = self.smoothed if self.lowest is None else min(self.lowest, self.smoothed)

    @property
    def is_calm(self) -> bool:
        """Whether a checkpoint of this step is worth keeping: no loss above 3 times the lowest smoothed one.

        The step's own loss counts too, since the smoothed one shows a sudden rise only after many steps.
        """
        return not self._exceeds(max(self.latest, self.smoothed), CALM_FACTOR)

    @property
    def has_diverged(self) -> bool:
        """Whether the smoothed loss is above 10 times its lowest value."""
        return self._exceeds(self.smoothed, DIVERGED_FACTOR)

    def _exceeds(self, loss: float, factor: float) -> bool:
        return self.always_positive and self.lowest is not None and loss > factor * self.lowest
