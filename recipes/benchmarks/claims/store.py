"""The results: a file for each training while the benchmark runs, and one JSON file of all of them in the end."""

import json
from functools import lru_cache
from pathlib import Path

from benchmarks.claims.trainings import Training
from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.backbones import load_backbone
from retina_adapt.embedded import backbone_folder


class ResultStore:
    """What has been run.

    Args:
        folder: with a JSON file for each training.
        gathered: JSON file of all results; need not exist yet.
    """

    def __init__(self, folder: str | Path, gathered: str | Path) -> None:
        self.folder = Path(folder)
        self.path = Path(gathered)

    def gathered(self) -> dict[str, dict]:
        """The file of all results: "trainings" by their keys, and "measurements" by their questions."""
        found = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        return {"trainings": found.get("trainings", {}), "measurements": found.get("measurements", {})}

    def find(self, training: Training, gathered: dict[str, dict]) -> dict | None:
        """The training's result, None if it has not been run with the backbone that there is now."""
        path = self.folder / f"{training.key}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
        else:
            found = gathered["trainings"].get(training.key)
        if found is None or (training.has_backbone and found["backbone_fingerprint"] != _fingerprint(training)):
            return None
        return found

    def keep(self, training: Training, result: dict) -> None:
        """Write the file of one training."""
        write_json(result, self.folder / f"{training.key}.json")

    def gather(self, trainings: list[Training], measurements: dict[str, dict]) -> dict[str, dict]:
        """Write the file of all results: of these trainings what there is, no others, and these measurements added."""
        # Read anew: another command may have added others meanwhile.
        gathered = self.gathered()
        results = {training.key: self.find(training, gathered) for training in trainings}
        gathered["trainings"] = {key: results[key] for key in sorted(results) if results[key] is not None}
        gathered["measurements"] |= measurements
        write_json(gathered, self.path)
        return gathered


def write_json(content: dict, path: Path) -> None:
    """Write one file that cannot be torn."""
    with write_file_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _fingerprint(training: Training) -> str:
    return _fingerprint_of(str(backbone_folder(training.backbone)))


@lru_cache
def _fingerprint_of(folder: str) -> str:
    return load_backbone(folder).fingerprint()
