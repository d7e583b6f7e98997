"""The checkpoints of one training: which there are, which one is the best, and which are kept."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from retina_adapt.training.checkpoint import CheckpointError, TrainingState, list_checkpoints, write_checkpoint
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.validation_history import merit, require_score, store_history, stored_history


@dataclass(frozen=True)
class CheckpointFolder:
    """The newest checkpoints and the one whose validation was the best.

    Attributes:
        folder: holds a folder a checkpoint, named by its step.
        kept: how many of the newest to keep; the best one is kept besides.
        best_by: name of the validation score that decides, "-name" where lower is better; "" is the first score.
    """

    folder: Path
    kept: int
    best_by: str = ""

    def to_resume_from(self, resume: str) -> Path | None:
        """The newest checkpoint, None if there is none, as `TrainingSettings.resume` wants it.

        Of a run of several trainings, "always" asks for a checkpoint of any: one may have been killed before the next
        began.

        Raises:
            CheckpointError: if there is one and `resume` is "never", or none in the run and it is "always".
        """
        found = self.newest()
        if found and resume == "never":
            raise CheckpointError(
                f"{self.folder}: holds checkpoints up to {found.name}, and resume is 'never'; resume with "
                "'auto', use another output_folder, or delete this folder to start again"
            )
        if not any(list_checkpoints(folder) for folder in self.folder.parent.glob("*")) and resume == "always":
            raise CheckpointError(
                f"{self.folder.parent}: holds no checkpoint, and resume is 'always'; check output_folder, or start "
                "with 'auto'"
            )
        return found

    def remove_leftovers(self) -> None:
        """Remove what a killed process had begun to write; call it while no other process writes here."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def save(self, state: TrainingState, *, writes: bool) -> Path:
        """Write a checkpoint, then drop those that are no longer kept; every process calls this, one of them writes.

        Raises:
            CheckpointError: if it cannot be written. The older checkpoints are then as they were.
        """
        checkpoint = write_checkpoint(self.folder, state, writes=writes)
        if writes:
            self._drop_others()
        return checkpoint

    def record_validations(self, state: TrainingState) -> None:
        """Store the validations up to this step with its checkpoint, if there is one."""
        checkpoint = self.of(state.step)
        if checkpoint.is_dir():
            store_history(state.validations, checkpoint)
            self._drop_others()

    def of(self, step: int) -> Path:
        """Where the checkpoint of a step is, if there is one."""
        return self.folder / f"step-{step:08d}"

    def newest(self) -> Path | None:
        """The checkpoint of the latest step."""
        return next(reversed(list_checkpoints(self.folder)), None)

    def best(self) -> Path | None:
        """The checkpoint with the best validation, of equals the newest; None if none was validated.

        Raises:
            TrainingSettingsError: if the validation has no score named `best_by`.
        """
        scored = [(self._merit(path), path) for path in list_checkpoints(self.folder)]
        scored = [(merit, path) for merit, path in scored if merit is not None]
        return max(scored, default=(0.0, None))[1]

    def _merit(self, checkpoint: Path) -> float | None:
        latest = next(reversed(stored_history(checkpoint)), None)
        # The history of a checkpoint that was not validated ends before it.
        if latest is None or checkpoint != self.of(latest.step):
            return None
        require_score(latest.scores, self.best_by)
        return merit(latest.scores, self.best_by)

    def _drop_others(self) -> None:
        found = list_checkpoints(self.folder)
        for old in set(found[: -self.kept]) - {self.best()}:
            shutil.rmtree(old, ignore_errors=True)


def checkpoint_folder(output_folder: str | Path, name: str, settings: TrainingSettings) -> CheckpointFolder:
    """The checkpoints of the training `name` in a run's folder."""
    return CheckpointFolder(Path(output_folder) / "checkpoints" / name, settings.checkpoints_kept, settings.best_by)
