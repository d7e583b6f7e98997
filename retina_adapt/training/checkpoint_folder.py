"""The checkpoints of one training: which there are, which one is the best, and which are kept."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.suggestions import did_you_mean
from retina_adapt.training.checkpoint import CheckpointError, TrainingState, list_checkpoints, write_checkpoint
from retina_adapt.training.settings import TrainingSettings, TrainingSettingsError

VALIDATION_FILE = "validation.json"


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

        Raises:
            CheckpointError: if there is one and `resume` is "never", or none and it is "always".
        """
        found = self.newest()
        if found and resume == "never":
            raise CheckpointError(
                f"{self.folder}: holds checkpoints up to {found.name}, and training.resume is 'never'; resume with "
                "'auto', use another output_folder, or delete this folder to start again"
            )
        if not found and resume == "always":
            raise CheckpointError(
                f"{self.folder}: holds no checkpoint, and training.resume is 'always'; check output_folder, or start "
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

    def record_validation(self, step: int, scores: dict[str, float]) -> None:
        """Note the scores beside the checkpoint of this step, if there is one."""
        checkpoint = self._of(step)
        if checkpoint.is_dir():
            with write_file_atomically(checkpoint / VALIDATION_FILE) as temporary:
                temporary.write_text(json.dumps(scores) + "\n", encoding="utf-8")
            self._drop_others()

    def is_validated(self, step: int) -> bool:
        """Whether the scores of this step's checkpoint are known."""
        return (self._of(step) / VALIDATION_FILE).is_file()

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

    def require_score(self, scores: dict[str, float]) -> None:
        """Refuse a `best_by` that is no score of the validation.

        Raises:
            TrainingSettingsError: names the nearest score that there is.
        """
        wanted = self.best_by.removeprefix("-")
        if wanted and wanted not in scores:
            raise TrainingSettingsError(
                f"training.best_by is '{self.best_by}', but the validation has the scores {', '.join(scores)}"
                f"{did_you_mean(wanted, scores)}"
            )

    def _merit(self, checkpoint: Path) -> float | None:
        file = checkpoint / VALIDATION_FILE
        if not file.is_file():
            return None
        scores = json.loads(file.read_text(encoding="utf-8"))
        if not scores:
            return None
        self.require_score(scores)
        score = scores[self.best_by.removeprefix("-") or next(iter(scores))]
        if math.isnan(score):
            return -math.inf
        return -score if self.best_by.startswith("-") else score

    def _drop_others(self) -> None:
        found = list_checkpoints(self.folder)
        for old in set(found[: -self.kept]) - {self.best()}:
            shutil.rmtree(old, ignore_errors=True)

    def _of(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"


def checkpoint_folder(output_folder: str | Path, name: str, settings: TrainingSettings) -> CheckpointFolder:
    """The checkpoints of the training `name` in a run's folder."""
    return CheckpointFolder(Path(output_folder) / "checkpoints" / name, settings.checkpoints_kept, settings.best_by)
