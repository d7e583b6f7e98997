"""Fast against diffusion, and how many sampling steps: one trained adaptor, enhancing in several ways."""

from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.pairs import degraded
from benchmarks.claims.scoring import score_pairs
from retina_adapt.embedded import DEFAULT_BACKBONE
from retina_adapt.enhancement import Enhancer, enhance_frames


def compare_modes(config: ClaimsConfig) -> dict[str, dict]:
    """By adaptor and mode, the mean scores over the test photographs of all data sets."""
    enhancer = Enhancer.from_pretrained(DEFAULT_BACKBONE)
    backbone = enhancer.backbone
    results: dict[str, dict] = {}
    for adaptor in config.sampled_adaptors:
        name = enhancer.load_adaptor(adaptor)
        pairs = degraded(config.data_sets, "test", name, backbone.settings.image_size)
        found = {"fast": score_pairs(lambda low: enhance_frames(backbone, low), pairs)}
        for steps in config.sampling_steps:
            found[f"diffusion, {steps} step{'s' if steps > 1 else ''}"] = score_pairs(
                lambda low, steps=steps: enhance_frames(backbone, low, mode="diffusion", steps=steps), pairs
            )
        results[name] = found
        enhancer.delete_adaptor(name)
    return results
