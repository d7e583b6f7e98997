"""The method's claims, measured: every arm on the same pairs, in the same order, for the same number of steps.

    accelerate launch recipes/benchmark.py claims --config recipes/configs/benchmark_claims_quick.yaml

Each training's result is a file of its own, so that an interrupted benchmark goes on where it stopped; several
processes share the trainings out among themselves. The last step gathers all results in one JSON file and writes the
tables and plots of the document from it. `--questions '[degradations, unseen]'` runs these only.
"""

from datetime import timedelta

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from benchmarks.claims.config import ClaimsConfig
from benchmarks.claims.document import write_document
from benchmarks.claims.estimate import estimate
from benchmarks.claims.measurements import MEASUREMENTS
from benchmarks.claims.plan import Rows, plan_trainings
from benchmarks.claims.store import ResultStore
from benchmarks.claims.trainings import Training, run_training
from retina_adapt.configuration import ConfigurationError, parse_configuration
from retina_adapt.suggestions import did_you_mean

__all__ = ["ClaimsConfig", "main", "plan_trainings"]

# Processes wait in the end for the one that has the longest training.
LONGEST_WAIT = timedelta(days=7)


def main() -> None:
    """Run what is missing, then write results, tables and plots."""
    config = parse_configuration(ClaimsConfig, description=__doc__)
    questions = plan_trainings(config)
    asked = _asked(config, [*questions, *MEASUREMENTS])
    state = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)])
    store = ResultStore(config.output_folder, config.results)
    gathered = store.gathered()
    wanted = in_order({question: rows for question, rows in questions.items() if question in asked})
    missing = [training for training in wanted if store.find(training, gathered) is None]
    waiting = [training for training in missing if not training.has_backbone]
    for backbone in sorted({training.backbone for training in waiting}):
        state.print(f"{backbone}: not there yet; its trainings are left out")
    missing = [] if config.only_document else [training for training in missing if training not in waiting]
    state.print(f"{len(wanted)} trainings asked for; to run: {estimate(missing) if state.is_main_process else ''}")
    for number, training in enumerate(missing[state.process_index :: state.num_processes], start=1):
        result = run_training(training)
        store.keep(training, result)
        scores = {name: round(mean["psnr_enhanced"], 2) for name, mean in result["scores"].items()}
        print(
            f"process {state.process_index}, {number}: {training.key} {scores}, {result['seconds']:.0f} s", flush=True
        )
    state.wait_for_everyone()
    if not state.is_main_process:
        return
    gathered = store.gather(in_order(questions), {} if config.only_document else _measure(config, asked, gathered))
    write_document(config, questions, gathered)
    print(f"Written: {config.results}, {config.document}")


def in_order(questions: dict[str, Rows]) -> list[Training]:
    """The trainings, each once, in the order in which they should be run: question by question, then the next seed.

    So an interrupted benchmark has the most telling cells, with fewer seeds.
    """
    by_key = {training.key: training for rows in questions.values() for row in rows.values() for training in row}
    return sorted(by_key.values(), key=lambda training: training.seed)


def _asked(config: ClaimsConfig, known: list[str]) -> list[str]:
    for question in config.questions:
        if question not in known:
            hint = did_you_mean(question, known) or f"; there are {', '.join(known)}"
            raise ConfigurationError(f"questions: there is no question '{question}'{hint}")
    return config.questions or known


def _measure(config: ClaimsConfig, asked: list[str], gathered: dict[str, dict]) -> dict[str, dict]:
    """What has been asked for and not been measured with these inputs."""
    found = {}
    for question in asked:
        measurement = MEASUREMENTS.get(question)
        inputs = measurement.inputs(config) if measurement else None
        if inputs is not None and gathered["measurements"].get(question, {}).get("inputs") != inputs:
            print(f"measuring {question}", flush=True)
            found[question] = {"inputs": inputs, "result": measurement.measure(config)}
    return found
