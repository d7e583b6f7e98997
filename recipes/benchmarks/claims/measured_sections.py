"""Sections about trained adaptors, which need no training."""

from benchmarks.claims import targets
from benchmarks.claims.clear_photographs import ROUTED
from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.graded import DEVELOPMENT, HELD_OUT
from benchmarks.claims.section import Section
from retina_adapt.markdown import markdown_table


def clear_photographs(config: ClaimsConfig, found: dict) -> Section:
    verdicts = targets.no_harm(found, ROUTED)
    names = list(found)
    adaptors = list(found[names[0]])

    def shown(score: dict[str, float]) -> str:
        return f"{score['psnr']:.1f} ({score['lowest_psnr']:.1f}), {score['untouched']:.0%}"

    return Section(
        [
            "### No harm",
            "Clear test photographs through the embedded adaptors as a user enhances them, at their own size: mean "
            f"PSNR between photograph and result (the lowest of any), and the share that comes out untouched. "
            f"`{ROUTED}` is the router's choice among all adaptors; an untouched photograph counts 100 dB.",
            markdown_table(
                ["adaptor", *names],
                ([adaptor, *(shown(found[name][adaptor]) for name in names)] for adaptor in adaptors),
            ),
            *map(str, verdicts),
        ],
        verdicts,
    )


def modes(config: ClaimsConfig, found: dict) -> Section:
    lines = [
        [
            adaptor,
            mode,
            f"{scores['psnr_degraded']:.2f}",
            f"{scores['psnr_enhanced']:.2f}",
            f"{scores['ssim_enhanced']:.3f}",
            f"{scores['psnr_clear_enhanced']:.1f}",
        ]
        for adaptor, by_mode in found.items()
        for mode, scores in by_mode.items()
    ]
    return Section(
        [
            "### Fast or diffusion, and how many steps",
            "Embedded adaptors on the test photographs of all data sets, each with the degradation of its name.",
            markdown_table(["adaptor", "mode", "degraded", "PSNR", "SSIM", "clear in, clear out"], lines),
        ]
    )


def graded(config: ClaimsConfig, found: dict) -> Section:
    valid = [name for name, by_part in found["correlation"].items() if targets.is_valid(by_part)]
    lines = [
        [
            name,
            f"{by_part[DEVELOPMENT]:+.2f}, {by_part[HELD_OUT]:+.2f}",
            "yes" if name in valid else "no",
            *(f"{found[part][name]:.3g}" for part in ("before", "after", "clear")),
            f"{found['nearer'][name]:.0%}",
        ]
        for name, by_part in found["correlation"].items()
    ]
    photographs, column = found["photographs"], config.graded.column
    lowest, highest = config.graded.degraded
    return Section(
        [
            "### Real degradation",
            f"{config.graded.name}, {photographs['degraded']} test photographs with `{column}` {lowest:g} to "
            f"{highest:g}, enhanced by the adaptor `{config.graded.adaptor}`, which was trained on simulated haze. No "
            "clear photograph of the same eye exists. First, Spearman's rank correlation of each measure with the "
            f"experts' score, on the {photographs[DEVELOPMENT]} photographs of {DEVELOPMENT} and the "
            f"{photographs[HELD_OUT]} of {HELD_OUT}; a measure counts as valid where it is at least "
            f"{targets.LEAST_CORRELATION} or at most -{targets.LEAST_CORRELATION} on both. Then its mean before and "
            "after, its mean over the clear photographs of the test split, and the share of photographs that "
            "enhancing brings nearer to that.",
            markdown_table(["measure", "correlation", "valid", "before", "after", "clear", "nearer"], lines),
            "Sharper is not truer: these measures cannot tell detail that was there from detail that was made up. The "
            f"sheet of these photographs, before and after, is written to `{config.graded.sheet}`.",
        ]
    )
