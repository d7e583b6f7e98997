"""Check that a run continues the training that the checkpoints in its folder belong to."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from retina_adapt.configuration import configuration_to_dict
from retina_adapt.training.checkpoint import CheckpointError, list_checkpoints
from retina_adapt.training.run_record import RUN_FILE, data_fingerprints, flattened, read_run, recipe_of
from retina_adapt.training.settings import TrainingSettings

# How to train may change between starts, for instance to a lower rate after divergence, or to other processes. What
# comes out must not: the seed is on the adaptor's card, and a moving average needs every step.
_HOW_TO_TRAIN = {field.name for field in fields(TrainingSettings)} - {"seed", "moving_average_decay"}
_ELSEWHERE = {"output_folder", "validation", "sampling_steps", "tracking", "card"}


def require_same_run(configuration: Any, output_folder: Path) -> list[str]:
    """Refuse to resume from checkpoints of other data, losses, networks or seeds, which their shapes need not reveal.

    Args:
        configuration: configuration of the run about to start.
        output_folder: where an earlier run may have left its record and checkpoints.

    Returns:
        What has changed although the configuration has not, as one sentence each: the files of a source of training
        data, or the recipe.

    Raises:
        CheckpointError: settings differ; names them with both values.
        RunRecordError: the earlier run's record is damaged.
    """
    if not (output_folder / RUN_FILE).is_file():
        return []
    earlier = read_run(output_folder)
    checkpoints = output_folder / "checkpoints"
    if not any(list_checkpoints(checkpoints / training) for training in earlier.get("trainings", {})):
        return []
    sections = tuple(_training_sections(configuration))
    before = _what_decides(earlier.get("config", {}), sections)
    now = _what_decides(configuration_to_dict(configuration), sections)
    # A setting that only one of the two versions of this package has is not a choice of the user's.
    changed = [name for name in before if name in now and before[name] != now[name]]
    changed += [name for name in before.keys() ^ now.keys() if _is_the_users_own(name)]
    if changed:
        shown = "; ".join(f"{name}: {before.get(name)} then, {now.get(name)} now" for name in sorted(changed)[:5])
        raise CheckpointError(
            f"{checkpoints}: belongs to another configuration ({shown}). Use another output_folder, or delete "
            f"{checkpoints} to start again"
        )
    recorded = earlier.get("data", {})
    doubts = [
        f"{source} has other files than when this run was last started; its checkpoints saw the earlier ones"
        for source, files in data_fingerprints(now).items()
        if recorded.get(source, files) != files
    ]
    recipe, former = recipe_of(configuration), earlier.get("recipe")
    if recipe and former and recipe["sha256"] != former["sha256"]:
        doubts.append(
            f"{recipe['file']} has changed since this run was last started; its checkpoints come from the old version"
        )
    return doubts


def _what_decides(values: dict[str, Any], sections: tuple[str, ...]) -> dict[str, Any]:
    how_to_train = {f"{section}{setting}" for section in sections for setting in _HOW_TO_TRAIN}
    return {
        name: value
        for name, value in flattened(values).items()
        # After `where` come names of columns, which may be anything.
        if name not in how_to_train and not _ELSEWHERE & set(f".{name}".partition(".where.")[0].split("."))
    }


def _training_sections(configuration: Any, prefix: str = "") -> Iterator[str]:
    """The dotted prefixes of the settings that belong to a training loop, such as `autoencoder.`."""
    if isinstance(configuration, TrainingSettings):
        yield prefix
    elif is_dataclass(configuration):
        for field in fields(configuration):
            yield from _training_sections(getattr(configuration, field.name), f"{prefix}{field.name}.")


def _is_the_users_own(name: str) -> bool:
    """Whether the setting is in a list or in conditions: `train.clear.1.path`, `train.rows.where.grade`."""
    return any(part.isdigit() or part == "where" for part in name.split("."))
