"""What is measured without training anything: each a question of its own, measured anew when its inputs change."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.claims.classical import score_classical
from benchmarks.claims.clear_photographs import enhance_clear_photographs
from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.graded import enhance_graded_photographs
from benchmarks.claims.modes import compare_modes
from retina_adapt.embedded import DEFAULT_BACKBONE, adaptor_folder, backbone_folder, router_folder

# A model's tensors and its settings, thresholds among them; its card decides nothing.
_DECISIVE = (".safetensors", ".json")


@dataclass(frozen=True)
class Measurement:
    """One question that needs no training.

    Attributes:
        measure: from the configuration to what goes into the results.
        settings: what of the configuration it depends on; None where the configuration does not ask the question.
        adaptors: which trained adaptors it depends on.
    """

    measure: Callable[[ClaimsConfig], dict]
    settings: Callable[[ClaimsConfig], Any]
    adaptors: Callable[[ClaimsConfig], list[str]]

    def inputs(self, config: ClaimsConfig) -> dict | None:
        """What the result depends on, but for this package's code; None where the question is not asked."""
        settings = self.settings(config)
        if settings is None:
            return None
        folders = [adaptor_folder(name) for name in self.adaptors(config)]
        folders += [backbone_folder(DEFAULT_BACKBONE), router_folder()]
        digest = hashlib.sha256()
        for folder in folders:
            files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.suffix in _DECISIVE]
            for path in sorted(files):
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return {"settings": settings, "models": digest.hexdigest()}


def _clear_data(config: ClaimsConfig) -> list[dict]:
    return [asdict(data_set) for data_set in config.data_sets]


MEASUREMENTS: dict[str, Measurement] = {
    "classical": Measurement(
        score_classical, lambda config: [_clear_data(config), config.degradation], lambda config: []
    ),
    "clear_photographs": Measurement(
        enhance_clear_photographs,
        lambda config: [_clear_data(config), config.adaptors] if config.adaptors else None,
        lambda config: config.adaptors,
    ),
    "graded": Measurement(
        enhance_graded_photographs,
        lambda config: asdict(config.graded) if config.graded else None,
        lambda config: [config.graded.adaptor],
    ),
    "modes": Measurement(
        compare_modes,
        lambda config: (
            [_clear_data(config), config.sampled_adaptors, config.sampling_steps] if config.sampled_adaptors else None
        ),
        lambda config: config.sampled_adaptors,
    ),
}
"""By question; keys of the results' "measurements"."""
