"""The section of the results document, generated from the results alone."""

from collections.abc import Callable
from pathlib import Path

from benchmarks._marked_section import write_marked_section
from benchmarks.claims import adaptor_sections, comparison_sections, measured_sections
from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.plan import Rows
from benchmarks.claims.section import Material, Section
from benchmarks.claims.tables import Results
from benchmarks.claims.trainings import WARMUP_STEPS
from retina_adapt.markdown import markdown_table

# With the question that has to have results. Whatever arms have been run have parameters and curves.
OF_TRAININGS: list[tuple[str, Callable[[Material], Section]]] = [
    ("arms", comparison_sections.arms),
    ("pairs", comparison_sections.pairs),
    ("arms", comparison_sections.size),
    ("arms", comparison_sections.convergence),
    ("degradations", adaptor_sections.degradations),
    ("unseen", adaptor_sections.unseen),
    ("backbones", adaptor_sections.backbones),
    ("modality", adaptor_sections.modality),
    ("ablations", adaptor_sections.ablations),
    ("learning_rates", comparison_sections.learning_rates),
]
OF_MEASUREMENTS: dict[str, Callable[[ClaimsConfig, dict], Section]] = {
    "clear_photographs": measured_sections.clear_photographs,
    "modes": measured_sections.modes,
    "graded": measured_sections.graded,
}


def write_document(config: ClaimsConfig, questions: dict[str, Rows], gathered: dict[str, dict]) -> None:
    """Write the claims' section of the document anew, and draw its plots."""
    results: Results = gathered["trainings"]
    measured = {question: found["result"] for question, found in gathered["measurements"].items()}
    planned = {training.key for rows in questions.values() for row in rows.values() for training in row}
    figures = Path(config.figures)
    link = figures.relative_to(Path(config.document).parent).as_posix()
    # A question of which nothing has been run yet has no section.
    asked = {
        question: rows
        for question, rows in questions.items()
        if any(training.key in results for row in rows.values() for training in row)
    }
    about = Material(config, asked, results, measured, figures, link)
    written = [write(about) for question, write in OF_TRAININGS if question in asked]
    written += [write(config, measured[name]) for name, write in OF_MEASUREMENTS.items() if name in measured]
    verdicts = [verdict for section in written for verdict in section.verdicts]
    parts = [
        "## The claims, measured",
        "```sh\nOMP_NUM_THREADS=1 accelerate launch recipes/benchmark.py claims \\\n"
        "    --config recipes/configs/benchmark_claims_full.yaml\n```",
        f"{len(planned & set(results))} of {len(planned)} planned trainings, of {config.steps} steps of "
        f"{config.batch_size} pairs, the same pairs in the same order for every arm, {config.clear_share:.0%} of them "
        f"of a clear photograph with itself; the learning rate rises for {WARMUP_STEPS} steps and falls linearly, "
        "unless a table says otherwise. Mean ± standard deviation over "
        f"the seeds {', '.join(map(str, config.seeds))} for {', '.join(config.repeated)}; seed {config.seeds[0]} for "
        "the rest; a cell without a deviation is one seed. PSNR in dB and SSIM in the field of view at the backbone's "
        "frame size, on the test splits; the same degradations for every arm, and for the first photograph of each "
        "data set, for the second, and so on. Deviations are those of trainings alone: from photograph to photograph "
        "gains differ more (*The embedded adaptors*). Seconds are of processor time, without "
        f"scoring. {_measured_with(results)}, one CPU thread a process. Cells "
        "with a dash, and questions without a section, have not been run yet. Verdicts are computed from the tables.",
        markdown_table(
            ["claim", "target", "measured", ""],
            ([each.claim, each.target, each.measured or "–", each.word] for each in verdicts),
        ),
        *(part for section in written for part in section.parts),
    ]
    write_marked_section(config.document, "claims", parts)


def _measured_with(results: Results) -> str:
    found = sorted({f"Torch {result['torch']} on {result['machine']}" for result in results.values()})
    return "; ".join(found)
