"""Search for the settings of an adaptation: trials of recipes/adapt.py, judged on validation pairs alone.

    python recipes/sweep.py --config recipes/configs/sweep_pairs.yaml

The first trial has the settings of the base configuration; optuna's tree-structured Parzen estimator draws the others
from the trials before them. A trial whose validations stay worse than the median of the earlier ones is given up. Each
is an ordinary run in `<output_folder>/trials`. Writes `results.md`, `results.json` and, ready for recipes/adapt.py,
`best.yaml`. If interrupted, the same command resumes, even in the middle of a trial.

Needs the extra `sweep`, and recipes/adapt.py beside this file.
"""

import dataclasses
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils.memory import clear_device_cache
from adapt import AdaptConfig
from adapt import main as adapt

from retina_adapt.adaptors import AdaptorConfigError
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.backbones import GradientCheckpointingError, HookPointError, SamplingStepsError
from retina_adapt.configuration import (
    ConfigurationError,
    configuration_to_dict,
    dotted_names,
    parse_configuration,
    store_configuration,
)
from retina_adapt.data import PairingError
from retina_adapt.degradations import SeverityError, UnknownPresetError
from retina_adapt.errors import ran_out_of_memory
from retina_adapt.markdown import markdown_table
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training import (
    NothingToTrainError,
    ScoredStep,
    TrainingDivergedError,
    TrainingSettingsError,
    UnusedParameterError,
    run_recipe,
)
from retina_adapt.training.run_record import read_run

try:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
except ModuleNotFoundError as error:
    raise SystemExit("error: a search needs optuna; in this package's checkout: pip install '.[sweep]'") from error

Choice = bool | int | float | str | list[str]
HOOKS_OF_STAGE = {"autoencoder": ("encoder", "decoder"), "denoiser": ("denoiser",)}
STAGES = tuple(HOOKS_OF_STAGE)
# Errors that a trial's own settings may cause. In a trial with the settings of the base, they end the search.
UNFIT = (
    AdaptorConfigError,
    ConfigurationError,
    GradientCheckpointingError,
    HookPointError,
    NothingToTrainError,
    PairingError,
    SamplingStepsError,
    SeverityError,
    TrainingSettingsError,
    UnknownPresetError,
    UnusedParameterError,
)
# Accelerate keeps the precision of a process's first training; the other settings would make trials incomparable.
NOT_SEARCHED = ("output_folder", "validation.", "mixed_precision", "resume", "dry_run")


def value_of(config: AdaptConfig, name: str) -> Any:
    """The value of the setting with a dotted name."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


@dataclass
class SearchedSetting:
    """A setting to search: a number in a range, or one of several choices.

    Args:
        name: name of a setting of recipes/adapt.py, e.g. autoencoder.learning_rate.
        low: smallest value.
        high: largest value.
        logarithmic: make every order of magnitude equally likely; for numbers above 0.
        choices: the values to choose from, in place of low and high.
    """

    name: str
    low: float | None = None
    high: float | None = None
    logarithmic: bool = False
    choices: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = dotted_names(AdaptConfig)
        if self.name not in known:
            raise ConfigurationError(f"space: adapt.py has no setting '{self.name}'{did_you_mean(self.name, known)}")
        if any(self.name.startswith(part) or self.name.endswith(f".{part}") for part in NOT_SEARCHED):
            raise ConfigurationError(f"space: '{self.name}' cannot be searched; give it in the base configuration")
        if self.choices:
            if (self.low, self.high) != (None, None):
                raise ConfigurationError(f"space: '{self.name}' has choices and a range; give one of them")
            return
        if self.low is None or self.high is None or not self.low < self.high:
            raise ConfigurationError(f"space: '{self.name}' needs choices, or low and a larger high")
        if self.logarithmic and self.low <= 0:
            raise ConfigurationError(f"space: '{self.name}' is logarithmic, so low must be above 0")
        if self._type not in (int, float):
            raise ConfigurationError(f"space: '{self.name}' is not a number; give it choices")
        if self._type is int and not (self.low.is_integer() and self.high.is_integer()):
            raise ConfigurationError(f"space: '{self.name}' is a whole number, so low and high must be too")

    def suggest(self, trial: optuna.Trial) -> Choice:
        """The trial's value, drawn if it has none yet. Choices go through optuna as JSON, since it takes no lists."""
        if self.choices:
            trial.suggest_categorical(self.name, [json.dumps(choice) for choice in self.choices])
        elif self._type is int:
            trial.suggest_int(self.name, int(self.low), int(self.high), log=self.logarithmic)
        else:
            trial.suggest_float(self.name, self.low, self.high, log=self.logarithmic)
        return self.drawn(trial)

    def drawn(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> Choice:
        """The value that was drawn for a trial."""
        return json.loads(trial.params[self.name]) if self.choices else trial.params[self.name]

    def of(self, config: AdaptConfig) -> dict[str, Any]:
        """A configuration's value, as optuna takes it; empty if it is not in the search space."""
        value = value_of(config, self.name)
        if self.choices:
            # As the choice is written: 1.0 equals 1, but optuna compares text.
            return {self.name: json.dumps(self.choices[self.choices.index(value)])} if value in self.choices else {}
        return {self.name: value} if self.low <= value <= self.high else {}

    @property
    def _type(self) -> type:
        found: Any = AdaptConfig
        for part in self.name.split("."):
            found = {entry.name: entry.type for entry in dataclasses.fields(found)}[part]
        return found


@dataclass
class SweepConfig:
    """Everything that recipes/sweep.py reads.

    Args:
        output_folder: where trials, tables and the best configuration go.
        base: configuration file of recipes/adapt.py that all trials start from; a bare name that is no file here is
            looked up in the folder `configs` beside this file.
        space: the settings to search.
        overrides: settings in which all trials differ from the base, by name, e.g. {autoencoder.steps: 200}.
        trials: number of trials in all, also after a resume.
        stage: autoencoder or denoiser: the stage whose validation judges a trial. With autoencoder, set denoiser.steps
            to 0.
        score: name of the score of that validation, "-name" if lower is better.
        unpruned_trials: number of trials that are trained to their end before any is given up.
        seed: seed of the search.
    """

    output_folder: str
    base: str
    space: list[SearchedSetting]
    overrides: dict[str, Choice] = field(default_factory=dict)
    trials: int = 20
    stage: str = "autoencoder"
    score: str = "psnr"
    unpruned_trials: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.space:
            raise ConfigurationError("space is empty: name at least one setting to search")
        for name, least in (("trials", 1), ("unpruned_trials", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.stage not in STAGES:
            hint = did_you_mean(self.stage, STAGES)
            raise ConfigurationError(f"stage is '{self.stage}'; use {' or '.join(STAGES)}{hint}")
        if Path(self.base).name == self.base and not Path(self.base).exists():
            self.base = str(Path(__file__).parent / "configs" / self.base)


def trial_config(config: SweepConfig, folder: Path, suggested: dict[str, Choice]) -> AdaptConfig:
    """The base with all that a trial changes, checked as adapt.py checks its command line."""
    changes = config.overrides | suggested | {"output_folder": str(folder)}
    shown = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changes.items()}
    arguments = ["--config", config.base, *(f"--{name}={value}" for name, value in shown.items())]
    return parse_configuration(AdaptConfig, description=config.base, arguments=arguments)


def check_base(config: SweepConfig) -> AdaptConfig:
    base = trial_config(config, Path(config.output_folder), {})
    for section in ("train", "validation"):
        pairs = getattr(base, section)
        if any(source.split == "test" for source in [*pairs.clear, *([pairs.rows] if pairs.rows else [])]):
            raise ConfigurationError(f"{section} has the split 'test'; what is chosen by it cannot be tested on it")
    if getattr(base, config.stage).steps == 0:
        raise ConfigurationError(f"{config.stage}.steps is 0, but stage '{config.stage}' is to judge the trials")
    searched = [entry.choices for entry in config.space if entry.name == "adaptor.hook_groups"]
    for groups in [base.adaptor.hook_groups, *(choice for choices in searched for choice in choices)]:
        if not any(group.startswith(HOOKS_OF_STAGE[config.stage]) for group in groups):
            raise ConfigurationError(
                f"stage '{config.stage}' is to judge the trials, but adaptor.hook_groups {groups} has no adaptor in it"
            )
    of_adaptor = [entry.name for entry in config.space if entry.name.startswith("adaptor.")]
    if base.start_from is not None and of_adaptor:
        raise ConfigurationError(
            f"trials continue from {base.start_from}, whose shape is fixed, so {', '.join(of_adaptor)} cannot be "
            "searched; leave it out of space, or start_from out of the base"
        )
    unread = [entry.name for entry in config.space if is_unread(entry, base)]
    if unread and "adaptor.kind" not in of_adaptor:
        raise ConfigurationError(
            f"the kind '{base.adaptor.kind}' does not read {', '.join(unread)}, so all trials would be the same; "
            "leave it out of space"
        )
    if PartialState().num_processes > 1:
        raise ConfigurationError("a search runs its trials on one process; start it without a launcher")
    return base


def is_unread(entry: SearchedSetting, base: AdaptConfig) -> bool:
    """Whether a searched setting of the adaptor makes no difference to the base's kind."""
    section, _, name = entry.name.partition(".")
    if section != "adaptor":
        return False
    values = entry.choices or (entry.low, entry.high)
    adaptors = [dataclasses.replace(base.adaptor, **{name: value}) for value in values]
    try:
        first, *others = [adaptor.to_peft_config() for adaptor in adaptors]
    except AdaptorConfigError:
        # A value that is refused has been read.
        return False
    return bool(others) and all(other == first for other in others)


def open_study(config: SweepConfig, base: AdaptConfig) -> optuna.Study:
    """Open the search so far, kept in a file of JSON lines, or begin one."""
    folder = Path(config.output_folder)
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "search.jsonl"
    if journal.is_file() and not (content := journal.read_bytes()).endswith(b"\n"):
        # A loss of power may have left half a line, which would make the file unreadable.
        with write_file_atomically(journal) as temporary:
            temporary.write_bytes(content[: content.rfind(b"\n") + 1])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        # By default, it locks by a symbolic link, which requires special rights on Windows.
        storage=JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))),
        study_name="sweep",
        direction="minimize" if config.score.startswith("-") else "maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=config.unpruned_trials),
        load_if_exists=True,
    )
    searched = {
        "base": configuration_to_dict(dataclasses.replace(base, output_folder="")),
        "space": configuration_to_dict(config)["space"],
        "judge": [config.stage, config.score, config.seed],
    }
    for name, value in searched.items():
        stored = study.user_attrs.get(name)
        if stored is None:
            study.set_user_attr(name, value)
        elif stored != json.loads(json.dumps(value)):
            raise ConfigurationError(
                f"{folder}: holds a search with another {name}; use another output_folder, or delete this one"
            )
    if not study.trials:
        study.enqueue_trial({name: value for setting in config.space for name, value in setting.of(base).items()})
    return study


def next_trial(study: optuna.Study, seed: int) -> optuna.Trial:
    """The interrupted trial, or else a new one, which is a function of the seed and the trials before it."""
    number = sum(trial.state.is_finished() for trial in study.trials)
    own_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=own_seed)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        return optuna.Trial(study, trial._trial_id)
    return study.ask()


def has_settings_of_base(trial: optuna.Trial, config: SweepConfig) -> bool:
    """Whether a trial changes nothing, so that an error is about the user's own configuration."""
    base = trial_config(config, Path(config.output_folder), {})
    return all(setting.of(base) == {setting.name: trial.params[setting.name]} for setting in config.space)


def run_trial(trial: optuna.Trial, study: optuna.Study, config: SweepConfig) -> None:
    """Train, and tell the study how it went; SIGTERM and other ends of the process leave the trial to be resumed."""
    folder, score = Path(config.output_folder) / "trials" / f"{trial.number:04d}", config.score.removeprefix("-")
    suggested = {setting.name: setting.suggest(trial) for setting in config.space}
    reported = set(study.trials[trial.number].intermediate_values)

    def observe(stage: str, validations: Sequence[ScoredStep]) -> None:
        for validated in validations if stage == config.stage else ():
            if validated.step not in reported:
                if score not in validated.scores:
                    hint = did_you_mean(score, validated.scores)
                    raise ConfigurationError(f"score: the validation of stage '{stage}' has no '{score}'{hint}")
                trial.report(validated.scores[score], validated.step)
                reported.add(validated.step)
                if trial.should_prune():
                    raise optuna.TrialPruned

    try:
        adapt(trial_config(config, folder, suggested), observe)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except (TrainingDivergedError, MemoryError, RuntimeError, *UNFIT) as error:
        if not isinstance(error, (TrainingDivergedError, *UNFIT)) and not ran_out_of_memory(error):
            raise
        if isinstance(error, UNFIT) and has_settings_of_base(trial, config):
            raise
        # The search must learn from these too: a learning rate too high, a batch too large, a rank that does not fit.
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        value = read_run(folder)["trainings"][config.stage]["scores"][score]
        study.tell(trial, *([value] if math.isfinite(value) else [None, optuna.trial.TrialState.FAIL]))
    clear_device_cache(garbage_collection=True)


def write_results(study: optuna.Study, config: SweepConfig) -> None:
    """Write tables of all trials, completed ones first and the best at the top, and the best one's configuration."""
    folder = Path(config.output_folder)
    sign = -1 if config.score.startswith("-") else 1
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            config.score: trial.value,
            "steps": max(trial.intermediate_values, default=0),
            "settings": {entry.name: entry.drawn(trial) for entry in config.space if entry.name in trial.params},
            **trial.user_attrs,
        }
        for trial in study.trials
    ]
    rows.sort(key=lambda row: (row["state"] == "complete", sign * (row[config.score] or 0)), reverse=True)
    names = [setting.name for setting in config.space]
    lines = []
    for row in rows:
        cells = [row["trial"], row["state"], row[config.score], row["steps"], *(row["settings"].get(n) for n in names)]
        lines.append(
            [f"{cell:.4g}" if isinstance(cell, float) else "–" if cell is None else str(cell) for cell in cells]
        )
    table = markdown_table(["trial", "state", config.score, "steps", *names], lines)
    for name, text in (("results.json", json.dumps(rows, indent=2)), ("results.md", table)):
        with write_file_atomically(folder / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    if rows and rows[0]["state"] == "complete":
        best = trial_config(config, folder / "best", rows[0]["settings"])
        store_configuration(best, folder / "best.yaml")


def full_training_command(config: SweepConfig) -> str:
    """The command that trains the best trial for the base's number of steps; `overrides` may have shortened trials."""
    base = parse_configuration(AdaptConfig, description=config.base, arguments=["--config", config.base])
    searched = {entry.name for entry in config.space}
    words = ["--config", f"{config.output_folder}/best.yaml", f"--output_folder={config.output_folder}/full"]
    shortened = [name for name in config.overrides if name.endswith(".steps") and name not in searched]
    words += [f"--{name}={value_of(base, name)}" for name in shortened]
    return shlex.join(["accelerate", "launch", str(Path(__file__).parent / "adapt.py"), *words])


def main(config: SweepConfig) -> None:
    study = open_study(config, check_base(config))
    command = full_training_command(config)
    while sum(trial.state.is_finished() for trial in study.trials) < config.trials:
        trial = next_trial(study, config.seed)
        run_trial(trial, study, config)
        done = study.trials[trial.number]
        print(f"trial {trial.number}: {done.state.name.lower()}, {config.score} {done.value}", flush=True)
        write_results(study, config)
    write_results(study, config)
    print((Path(config.output_folder) / "results.md").read_text(encoding="utf-8"), end="")
    if (Path(config.output_folder) / "best.yaml").is_file():
        print("The best trial's settings, trained as long as the base configuration says:")
        print(command)


if __name__ == "__main__":
    run_recipe(main, SweepConfig, description=__doc__)
