"""The app without the web: photographs come in, are enhanced with chosen adaptors and inspected, and go out again."""

import dataclasses
import itertools
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from retina_adapt.enhancement import EnhancementSettings, Enhancer, provenance_of
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging import (
    ImageWriteError,
    Photograph,
    UsedAdaptor,
    decode_photograph,
    require_format_for,
    sha256_of,
    write_photograph,
)
from retina_adapt.imaging.photograph import JPEG_SUFFIXES, PNG_SUFFIXES, TIFF_SUFFIXES
from retina_adapt.imaging.plausibility import doubt_about_colors, doubt_about_samples
from retina_adapt.report import ModelIdentity, ReportEntry, report_entry, write_report
from retina_adapt.report.pictures import data_address, shown_picture
from retina_adapt.report.quality import measured_frame

PREVIEW_SIDE = 900
LARGEST_WEIGHT = 2.0
MOST_SEEDS = 8
_SUFFIXES = JPEG_SUFFIXES + PNG_SUFFIXES + TIFF_SUFFIXES


class StudioError(RetinaAdaptError):
    """A request that cannot be fulfilled."""


class GoneError(StudioError):
    """A photograph was removed, or a result replaced, after the page that asks for it was loaded."""


@dataclass(frozen=True)
class StudioResult:
    """The result of enhancing a photograph.

    Attributes:
        entry: its entry in the report.
        adaptors: names of the adaptors that took part.
        file: the enhanced photograph; the next enhancement replaces it.
        turn: how often the photograph has been enhanced.
    """

    entry: ReportEntry
    adaptors: tuple[str, ...]
    file: Path
    turn: int


@dataclass
class LoadedPhotograph:
    """A photograph in the app.

    Attributes:
        name: name of its file.
        file: its bytes, in the studio's folder: many large photographs would not fit in memory.
        size: width and height in pixels.
        preview: a small picture of it, as a `data:` address.
        is_dicom: whether it was read from DICOM.
        doubt: what may be wrong with its file, for readers; empty if nothing is.
        result: result of its last enhancement; None before the first.
    """

    name: str
    file: Path
    size: tuple[int, int]
    preview: str
    is_dicom: bool
    doubt: str
    result: StudioResult | None = None


class Studio:
    """Photographs, an enhancer, and a folder for both photographs and results, which `close` removes.

    One photograph is enhanced at a time: all share the network, with its active adaptors and its memory.
    """

    def __init__(self, enhancer: Enhancer, backbone: ModelIdentity, adaptors: Mapping[str, ModelIdentity]) -> None:
        """`adaptors`: the identity of each loaded adaptor, by its name in the enhancer."""
        self.enhancer = enhancer
        self.backbone = backbone
        self.adaptors = dict(adaptors)
        self.photographs: dict[int, LoadedPhotograph] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="retina_adapt_app_"))
        # Each studio starts elsewhere: a page left over from an earlier one must find none of this one's photographs.
        self._numbers = itertools.count(1 + secrets.randbelow(2**40))
        self._lock = threading.Lock()
        # A second lock, so that a photograph can be removed while it, or another, is being enhanced.
        self._files_lock = threading.Lock()

    def add(self, name: str, encoded: bytes) -> int:
        """Read a photograph from its file's bytes; return the number that identifies it.

        Raises:
            ImageReadError: it cannot be read.
            StudioError: it cannot be written to the disk.
        """
        name = "".join(character for character in name if character.isprintable())
        name = PurePosixPath(name.replace("\\", "/")).name or "photograph"
        photograph = decode_photograph(encoded, name)
        number = next(self._numbers)
        file = self._folder / str(number) / "original"
        try:
            file.parent.mkdir()
            file.write_bytes(encoded)
        except OSError as error:
            shutil.rmtree(file.parent, ignore_errors=True)
            remedy = f"free space in {self._folder.parent}, and load it again"
            if not self._folder.is_dir():
                remedy = f"the app's folder {self._folder} was deleted: start the app again"
            raise StudioError(f"{name}: cannot be stored ({error.strerror or error}); {remedy}") from error
        height, width = photograph.pixels.shape[:2]
        doubts = doubt_about_samples(photograph, name), doubt_about_colors(photograph, name)
        self.photographs[number] = LoadedPhotograph(
            name=name,
            file=file,
            size=(width, height),
            preview=data_address(shown_picture(photograph.pixels, PREVIEW_SIDE)),
            is_dicom=photograph.dicom_header is not None,
            doubt="; ".join(filter(None, doubts)),
        )
        return number

    def enhance(
        self,
        number: int,
        weights: Mapping[str, float],
        settings: EnhancementSettings,
        seeds: int = 1,
        *,
        in_sequence: bool = False,
    ) -> StudioResult:
        """Enhance one photograph and inspect the result, which stays in `LoadedPhotograph.result`.

        Args:
            weights: weights of the adaptors, by name; those of weight 0 take no part.
            seeds: number of versions, with seeds from `settings.seed` on; several, in the mode diffusion, give an
                uncertainty map.
            in_sequence: use one adaptor after the other, in the order of `weights`, instead of all together.

        Raises:
            GoneError: there is no such photograph, or it was removed meanwhile.
            StudioError: a weight or the number of seeds is out of range, or the photograph's file cannot be read.
            RetinaAdaptError: as for the enhancer, `report_entry` and `write_photograph`.
        """
        loaded = self._loaded(number)
        chosen = {name: float(weight) for name, weight in weights.items() if weight != 0}
        if any(not abs(weight) <= LARGEST_WEIGHT for weight in chosen.values()):
            raise StudioError(f"weights lie between -{LARGEST_WEIGHT:g} and {LARGEST_WEIGHT:g}; choose others")
        if not 1 <= seeds <= MOST_SEEDS:
            raise StudioError(f"{seeds} versions; choose 1 to {MOST_SEEDS}")
        with self._lock:
            # It may have been removed while it waited for its turn.
            self._loaded(number)
            try:
                # Only now, so that photographs waiting for their turn are not in memory.
                encoded = loaded.file.read_bytes()
            except OSError as error:
                raise StudioError(
                    f"{loaded.name}: its copy {loaded.file} cannot be read ({error.strerror or error}); load the "
                    "photograph again"
                ) from error
            photograph = decode_photograph(encoded, loaded.name)
            if in_sequence:
                self.enhancer.set_adaptor_sequence(chosen)
            else:
                self.enhancer.set_adaptor_weights(chosen)
            first = self.enhancer.enhance(photograph, settings, name=loaded.name)
            versions = []
            if seeds > 1 and settings.mode == "diffusion":
                mask = first.field_of_view.mask
                versions.append(measured_frame(first.image.pixels, mask)[0])
                for offset in range(1, seeds):
                    shifted = dataclasses.replace(settings, seed=settings.seed + offset)
                    further = self.enhancer.enhance(photograph, shifted, name=loaded.name)
                    versions.append(measured_frame(further.image.pixels, mask)[0])
            entry = report_entry(
                loaded.name,
                photograph.pixels,
                first.image.pixels,
                adaptor=first.adaptor or "none",
                mask=first.field_of_view.mask,
                versions=versions,
            )
            file = self._result_path(loaded, photograph)
            provenance = provenance_of(
                settings,
                backbone=self.backbone.name,
                backbone_fingerprint=self.backbone.sha256,
                adaptors=[
                    UsedAdaptor(name, self.adaptors[name].sha256, weight, turn if in_sequence else 1)
                    for turn, (name, weight) in enumerate(chosen.items(), start=1)
                ],
                input_sha256=sha256_of(encoded),
            )
            with self._files_lock:
                # Otherwise, writing would recreate the folder of a photograph that was removed meanwhile.
                self._loaded(number)
                write_photograph(dataclasses.replace(first.image, provenance=provenance), file)
                turn = 1 if loaded.result is None else loaded.result.turn + 1
                result = loaded.result = StudioResult(entry, tuple(chosen), file, turn)
        return result

    def result_file(self, number: int, turn: int) -> Path:
        """The file of a photograph's last enhancement.

        Raises:
            StudioError: there is none, or something has deleted it from the disk.
            GoneError: it is of another turn than the page that asks shows, or the photograph was removed.
        """
        loaded = self._loaded(number)
        if loaded.result is None:
            raise StudioError(f"{loaded.name}: has not been enhanced yet; enhance it first")
        if loaded.result.turn != turn:
            raise GoneError(
                f"{loaded.name}: this result was replaced since, perhaps from another tab; enhance it again, or reload "
                "the page to see the present result"
            )
        if not loaded.result.file.is_file():
            raise StudioError(
                f"{loaded.name}: {loaded.result.file} was deleted; load the photograph and enhance it again"
            )
        return loaded.result.file

    def report(self) -> Path:
        """Write one page on all enhanced photographs; return its path.

        Raises:
            StudioError: none was enhanced.
            ReportWriteError: the page cannot be written.
        """
        # A copy, since other threads may add and remove photographs meanwhile.
        results = [loaded.result for loaded in list(self.photographs.values()) if loaded.result is not None]
        if not results:
            raise StudioError("nothing has been enhanced yet; enhance a photograph first")
        path = self._folder / "report.html"
        used = {name for result in results for name in result.adaptors}
        models = [self.backbone, *(identity for name, identity in self.adaptors.items() if name in used)]
        write_report([result.entry for result in results], path, models=models, settings={})
        return path

    def remove(self, number: int) -> None:
        """Forget a photograph and its result.

        Raises:
            GoneError: there is no such photograph.
        """
        with self._files_lock:
            self._loaded(number)
            del self.photographs[number]
            shutil.rmtree(self._folder / str(number), ignore_errors=True)

    def close(self) -> None:
        """Forget all photographs, and delete them and their results from the disk."""
        with self._files_lock:
            self.photographs.clear()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _loaded(self, number: int) -> LoadedPhotograph:
        if number not in self.photographs:
            raise GoneError("there is no such photograph any more; reload the page and load it again")
        return self.photographs[number]

    def _result_path(self, loaded: LoadedPhotograph, photograph: Photograph) -> Path:
        name = PurePosixPath(loaded.name)
        suffix = name.suffix.lower() if name.suffix.lower() in _SUFFIXES else ".png"
        if loaded.is_dicom:
            suffix = ".dcm"
        try:
            require_format_for(photograph, Path(f"{name.stem}{suffix}"))
        except ImageWriteError:
            # The file has another format than its name says; PNG holds everything but DICOM.
            suffix = ".png"
        # File names have at most 255 bytes.
        stem = name.stem.encode()[:200].decode(errors="ignore")
        return loaded.file.with_name(f"{stem}_enhanced{suffix}")
