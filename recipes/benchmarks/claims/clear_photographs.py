"""No harm: clear photographs through every adaptor, and through the router, as a user enhances them."""

import numpy as np

from benchmarks.claims.config import ClaimsConfig
from retina_adapt.data import load_images
from retina_adapt.embedded import DEFAULT_BACKBONE, router_folder
from retina_adapt.enhancement import Enhancer
from retina_adapt.evaluation import score_image
from retina_adapt.imaging import find_field_of_view, read_photograph
from retina_adapt.routing import load_router

ROUTED = "auto"


def enhance_clear_photographs(config: ClaimsConfig) -> dict[str, dict[str, dict[str, float]]]:
    """By data set and adaptor, `auto` being the router's choice among all of them.

    Returns:
        psnr: mean over the photographs between photograph and enhanced one, in dB, at the photograph's own size, in
            the field of view; 100 for identical ones.
        lowest_psnr: of any photograph.
        untouched: share of the photographs, in [0, 1], that come out as they went in, to the last bit.
    """
    enhancer = Enhancer.from_pretrained(DEFAULT_BACKBONE)
    names = [enhancer.load_adaptor(adaptor) for adaptor in config.adaptors]
    router = load_router(router_folder())
    results: dict[str, dict[str, dict[str, float]]] = {}
    for data_set in config.data_sets:
        scores: dict[str, list[tuple[float, bool]]] = {name: [] for name in [*names, ROUTED]}
        for row in load_images(data_set.path, split="test", where=data_set.where or None):
            photograph = read_photograph(row["image"]["path"])
            mask = find_field_of_view(photograph.pixels, name=str(photograph.source)).mask
            by_adaptor: dict[str | None, tuple[float, bool]] = {None: (100.0, True)}
            for name in names:
                enhancer.set_adaptor(name)
                enhanced = enhancer(photograph.pixels, mask=mask)
                is_untouched = np.array_equal(enhanced, photograph.pixels)
                by_adaptor[name] = (score_image(enhanced, photograph.pixels, mask).psnr, is_untouched)
                scores[name].append(by_adaptor[name])
            scores[ROUTED].append(by_adaptor[router.route(photograph, names, mask=mask).adaptor])
        results[data_set.name] = {
            name: {
                "psnr": float(np.mean([psnr for psnr, _ in values])),
                "lowest_psnr": float(np.min([psnr for psnr, _ in values])),
                "untouched": float(np.mean([is_untouched for _, is_untouched in values])),
            }
            for name, values in scores.items()
        }
    return results
