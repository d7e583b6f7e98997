"""The method's claims, measured: every arm on the same pairs, in the same order, for the same number of steps.

    accelerate launch recipes/benchmark.py claims --config recipes/configs/benchmark_claims_quick.yaml

Each training's result is a file of its own, so that an interrupted benchmark goes on where it stopped; several
processes share the trainings out among themselves. The last step gathers all results in one JSON file and writes the
tables and plots of the document from it.
"""

import json
from pathlib import Path

from accelerate import Accelerator

from benchmarks.claims.classical import score_classical
from benchmarks.claims.document import write_document
from benchmarks.claims.plan import ClaimsConfig, plan_trainings
from benchmarks.claims.trainings import Training, run_training
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.configuration import parse_configuration

__all__ = ["ClaimsConfig", "main", "plan_trainings"]


def main() -> None:
    """Run what is missing, then write results, tables and plots."""
    config = parse_configuration(ClaimsConfig, description=__doc__)
    state = Accelerator()
    questions = plan_trainings(config)
    # Seed by seed: an interrupted benchmark has every cell, with fewer seeds.
    wanted = sorted(
        dict.fromkeys(training for rows in questions.values() for row in rows.values() for training in row),
        key=lambda training: training.seed,
    )
    folder, results = Path(config.output_folder), Path(config.results)
    earlier = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    known = earlier.get("trainings", {})
    missing = [training for training in wanted if _find(training, known, folder) is None]
    if config.only_document:
        missing = []
    print(f"process {state.process_index}: {len(missing)} of {len(wanted)} trainings to run", flush=True)
    data_sets = {data_set.name: data_set for data_set in [*config.data_sets, *filter(None, [config.modality])]}
    for number, training in enumerate(missing[state.process_index :: state.num_processes], start=1):
        found = run_training(training, data_sets, config.adaptor)
        _write_json(found, folder / f"{training.key}.json")
        scores = {name: round(mean["psnr_enhanced"], 2) for name, mean in found["scores"].items()}
        print(
            f"process {state.process_index}, {number}: {training.key} {scores} in {found['seconds']:.0f} s", flush=True
        )
    state.wait_for_everyone()
    if not state.is_main_process:
        return
    by_key = {training.key: _find(training, known, folder) for training in wanted}
    gathered = {
        "trainings": known | {key: found for key, found in by_key.items() if found is not None},
        "classical": earlier.get("classical") or score_classical(config),
    }
    _write_json(gathered, results)
    write_document(config, questions, gathered)
    print(f"Written: {results}, {config.document}")


def _find(training: Training, known: dict[str, dict], folder: Path) -> dict | None:
    path = folder / f"{training.key}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else known.get(training.key)


def _write_json(content: dict, path: Path) -> None:
    with write_file_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
