"""Which adaptor a photograph needs, if any."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retina_adapt.data import prepare_photograph
from retina_adapt.imaging import FieldOfViewShape, Photograph, resize
from retina_adapt.routing.errors import RouterSettingsError
from retina_adapt.routing.faults import CLEAR
from retina_adapt.routing.network import FaultNetwork
from retina_adapt.routing.settings import RouterSettings

_HIGHEST_THRESHOLD = 0.5


@dataclass(frozen=True)
class Route:
    """A router's choice for one photograph.

    Attributes:
        adaptor: the chosen adaptor's name; None leaves the photograph as it is.
        fault: the class for which it was chosen; `clear` if the photograph counts as clear.
        confidence: the probability of that class, in [0, 1].
        severity: estimated severity of the fault, from 0 (none) to 1 (the presets' strongest).
        probabilities: the probability of every class.
        note: why a photograph with a fault gets no adaptor; empty otherwise.
    """

    adaptor: str | None
    fault: str
    confidence: float
    severity: float
    probabilities: dict[str, float]
    note: str = ""

    def __str__(self) -> str:
        chosen = f"adaptor {self.adaptor}" if self.adaptor is not None else "no adaptor"
        severity = "" if self.fault == CLEAR else f", severity {self.severity:.2f}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.fault} at {self.confidence:.0%}{severity}: {chosen}{note}"


class Router:
    """A trained network, and the rule that turns its probabilities into a choice.

    >>> router = load_router(router_folder())
    >>> route = router.route(photograph, enhancer.adaptors)
    >>> enhancer.set_adaptor(route.adaptor)
    """

    def __init__(self, network: FaultNetwork, settings: RouterSettings) -> None:
        self.network = network
        self.settings = settings

    @torch.no_grad()
    def judge(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Judge prepared frames.

        Args:
            frames: float32 (batch, 3, S, S) in [0, 1], with the settings' image size S, and a surround mirrored as by
                `prepare_photograph`.

        Returns:
            Probabilities (batch, classes), and severities (batch,) in [0, 1]; both on the CPU.
        """
        frames = frames.to(next(self.network.parameters()).device)
        scores, severities = self.network(frames)
        return scores.softmax(dim=1).cpu(), severities.cpu()

    def choose(self, probabilities: Tensor, severity: float, available: Collection[str]) -> Route:
        """Apply the rule: no adaptor if the probability of `clear` reaches the threshold, else the likeliest fault's.

        Args:
            probabilities: of one frame, (classes,).
            severity: in [0, 1].
            available: names of the adaptors to choose from; none stands in for a missing one.
        """
        by_class = dict(zip(self.settings.classes, probabilities.tolist(), strict=True))
        if by_class[CLEAR] >= self.settings.clear_threshold:
            return Route(None, CLEAR, by_class[CLEAR], severity, by_class)
        fault = max((name for name in by_class if name != CLEAR), key=by_class.__getitem__)
        adaptor = self.settings.adaptors.get(fault)
        note = ""
        if adaptor is None:
            note = f"this router has no adaptor for the class '{fault}'"
        elif adaptor not in available:
            note = f"the adaptor '{adaptor}' is not among those loaded: {', '.join(sorted(available)) or 'none'}"
        return Route(None if note else adaptor, fault, by_class[fault], severity, by_class, note)

    def route(
        self,
        photograph: Photograph,
        available: Collection[str],
        *,
        field_of_view: FieldOfViewShape = "auto",
        mask: np.ndarray | None = None,
        name: str = "photograph",
    ) -> Route:
        """Choose an adaptor for a photograph of any size; the same photograph gives the same choice.

        Args:
            photograph: colour or grey; grey is judged as three equal channels, on which the router was not trained.
            available: names of the adaptors to choose from.
            field_of_view, mask, name: see `prepare_photograph`.

        Raises:
            FieldOfViewError: see `prepare_photograph`.
        """
        prepared = prepare_photograph(
            photograph, name, self.settings.prepared_size, mask=mask, field_of_view=field_of_view
        )
        image = resize(prepared.image, self.settings.image_size, self.settings.image_size)
        frame = torch.from_numpy(image.transpose(2, 0, 1).copy()).expand(3, -1, -1)
        probabilities, severities = self.judge(frame[None])
        return self.choose(probabilities[0], float(severities[0]), available)


def build_network(settings: RouterSettings) -> FaultNetwork:
    """An untrained network with these settings."""
    return FaultNetwork(
        len(settings.classes), settings.image_size, channels=settings.channels, hidden_features=settings.hidden_features
    )


def clear_threshold(clear_probabilities: np.ndarray, largest_touched_share: float) -> float:
    """The highest threshold, up to 0.5, at which at most this share of clear photographs gets an adaptor.

    Above 0.5, even a photograph more likely clear than faulty could get an adaptor.

    Args:
        clear_probabilities: probability of the class `clear` for each of n views of clear photographs, (n,).
        largest_touched_share: in [0, 1).

    Raises:
        RouterSettingsError: no probability is given, or the share is out of range.
    """
    if len(clear_probabilities) == 0 or not 0.0 <= largest_touched_share < 1.0:
        raise RouterSettingsError(
            f"a threshold needs clear photographs and a share in [0, 1), got {len(clear_probabilities)} and "
            f"{largest_touched_share}"
        )
    # Shares are compared, not numbers: 0.29 of 100 photographs are 28.999… of them.
    shares = np.arange(1, len(clear_probabilities) + 1) / len(clear_probabilities)
    # Only values *below* the threshold get an adaptor: from this position on, none does.
    highest = float(np.sort(clear_probabilities)[np.sum(shares <= largest_touched_share)])
    return min(highest, _HIGHEST_THRESHOLD)
