"""The checkpoints of one training: which there are, which is the best, and which are kept."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from retina_adapt.sole_use import sole_use
from retina_adapt.training.checkpoint import CheckpointError, TrainingState, list_checkpoints, write_checkpoint
from retina_adapt.training.gather import fail_together
from retina_adapt.training.settings import TrainingSettings
from retina_adapt.training.validation_history import merit, require_score, store_history, stored_history


@dataclass(frozen=True)
class CheckpointFolder:
    """The newest checkpoints and the one with the best validation.

    Attributes:
        folder: holds one folder per checkpoint, named by its step.
        kept: how many of the newest checkpoints to keep; the best one is kept as well.
        best_by: name of the validation score that decides which is best, "-name" if lower is better; "" is the first
            score.
    """

    folder: Path
    kept: int
    best_by: str = ""

    def to_resume_from(self, resume: str) -> Path | None:
        """The newest checkpoint, or None if there is none; refuses what `TrainingSettings.resume` does not allow.

        In a run of several trainings, "always" is content with a checkpoint of any of them, since the run may have been
        killed before the next training began.

        Raises:
            CheckpointError: there is one and `resume` is "never", or the run has none and it is "always".
        """
        found = self.newest()
        if found and resume == "never":
            raise CheckpointError(
                f"{self.folder}: holds checkpoints up to {found.name}, but resume is 'never'; resume with "
                "'auto', use another output_folder, or delete this folder to start again"
            )
        if not any(list_checkpoints(folder) for folder in self.folder.parent.glob("*")) and resume == "always":
            raise CheckpointError(
                f"{self.folder.parent}: holds no checkpoint, but resume is 'always'; check output_folder, or start "
                "with 'auto'"
            )
        return found

    @contextmanager
    def sole_use(self, accelerator: Accelerator) -> Iterator[None]:
        """Keep other runs of this training out of the folder within the context; all processes call this.

        Raises:
            FolderInUseError: another run is at work there; raised on all processes.
            CheckpointError: the folder cannot be written.
        """
        with ExitStack() as lock:
            fail_together(accelerator, lambda: self._lock(lock) if accelerator.is_main_process else None)
            yield

    def _lock(self, lock: ExitStack) -> None:
        try:
            lock.enter_context(sole_use(self.folder, self.folder.with_name(f".{self.folder.name}.lock")))
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: cannot be written ({error.strerror or error}); make space, or make it writable, or "
                "give another output_folder"
            ) from error

    def remove_leftovers(self) -> None:
        """Remove what a killed process had begun to write; only call this in sole use of the folder."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def save(self, state: TrainingState, *, writes: bool) -> Path:
        """Write a checkpoint, then delete those no longer kept; all processes call this, and one of them writes.

        Raises:
            CheckpointError: it cannot be written; older checkpoints are untouched.
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
        """The folder of a step's checkpoint, whether or not it exists."""
        return self.folder / f"step-{step:08d}"

    def newest(self) -> Path | None:
        """The checkpoint of the latest step, if any."""
        return next(reversed(list_checkpoints(self.folder)), None)

    def best(self) -> Path | None:
        """The checkpoint with the best validation, the newest among equals; None if none was validated.

        Raises:
            TrainingSettingsError: the validation has no score named `best_by`.
        """
        scored = [(self._merit(path), path) for path in list_checkpoints(self.folder)]
        scored = [(merit, path) for merit, path in scored if merit is not None]
        return max(scored, default=(0.0, None))[1]

    def _merit(self, checkpoint: Path) -> float | None:
        latest = next(reversed(stored_history(checkpoint)), None)
        # The history of a checkpoint that was not validated ends at an earlier step.
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
