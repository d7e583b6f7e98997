"""Enhance photographs at a camera's own size, and measure what comes out and what it takes.

PSNR, and SSIM of the green channel, are of all pixels in the field of view at full size. Fine PSNR is that of what is
finer than the backbone's frame: it tells what happens to detail that the network does not see, whatever error of light
and colour it leaves.
"""

import ctypes
import gc
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.degradations import apply_degradation, draw_degradation
from retina_adapt.embedded import DEFAULT_BACKBONE
from retina_adapt.enhancement import EnhancementSettings, Enhancer, PhotographCopies, SmallChange, apply_at_own_size
from retina_adapt.enhancement.tiles import lay_tiles, seam_ratio
from retina_adapt.evaluation import score_image
from retina_adapt.imaging import (
    FieldOfView,
    Photograph,
    SquareCrop,
    find_field_of_view,
    find_photographs,
    read_photograph,
    resize,
    write_photograph,
)

DETAILS = ("kept", "guided", "fine", "tiles")


@dataclass
class FullSizeConfig:
    """What to measure.

    Args:
        output_folder: where the pictures go.
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        photographs: folder of clear photographs.
        backbone: name of an embedded backbone, or a backbone folder.
        adaptors: the adaptor, embedded name or folder, for each preset.
        seeds: of the degradations; each photograph is degraded once by each.
        working_size: of the mode `tiles`.
        memory_widths: widths in pixels that the first photograph is brought to, to see what memory depends on.
        crop: side in pixels of the parts that are written as pictures.
        threads: of PyTorch on the CPU.
        device: cpu, cuda, …
        only_document: measure nothing; write the document from the results there are.
    """

    output_folder: str = "runs/full_size"
    results: str = "docs/results/full_size.json"
    document: str = "docs/enhancing.md"
    photographs: str = "corpus/full_resolution"
    backbone: str = DEFAULT_BACKBONE
    adaptors: dict[str, str] = field(default_factory=lambda: {name: name for name in ("light", "haze", "blur")})
    seeds: list[int] = field(default_factory=lambda: [0])
    working_size: int = 1024
    memory_widths: list[int] = field(default_factory=lambda: [2000, 4300])
    crop: int = 440
    threads: int = 1
    device: str = "cpu"
    only_document: bool = False


@dataclass
class Measured:
    """Of one degraded photograph and one way to its own size. Seconds are processor time of the process.

    Attributes:
        psnr, fine_psnr: in dB, see above.
        ssim: of the green channel.
        prepare, network, apply: seconds of the three stages.
        seams: see `seam_ratio`; None where there are no two tiles.
    """

    photograph: str
    preset: str
    seed: int
    method: str
    psnr: float
    fine_psnr: float
    ssim: float
    prepare: float = 0.0
    network: float = 0.0
    apply: float = 0.0
    seams: float | None = None


class PeakMemory:
    """Largest memory of this process above what it held at the start, in MB, looked at every 5 ms."""

    def __enter__(self) -> "PeakMemory":
        # What earlier work has freed but the allocator keeps would hide what is used anew.
        gc.collect()
        if hasattr(ctypes.CDLL(None), "malloc_trim"):
            ctypes.CDLL(None).malloc_trim(0)
        self._process, self._stop = psutil.Process(), threading.Event()
        self._start = self.peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.megabytes = (self.peak - self._start) / 1e6


def measure(config: FullSizeConfig) -> dict[str, Any]:
    """Degrade and enhance every photograph, and write `crops_*.png`.

    Returns:
        rows: a `Measured` each, as a dictionary.
        files: of each file format of the photographs, seconds "read" and "write".
        memory: of each size and detail, the "width" and "height" in pixels, "both": photograph and result in MB, and
            what enhancing takes "besides".
        working_size: of the mode `tiles`.
    """
    output_folder = Path(config.output_folder)
    output_folder.mkdir(parents=True, exist_ok=True)
    enhancer = Enhancer.from_pretrained(config.backbone, device=config.device)
    names = {preset: enhancer.load_adaptor(adaptor) for preset, adaptor in config.adaptors.items()}
    rows: list[Measured] = []
    files: dict[str, list[tuple[float, float]]] = {}
    for path in find_photographs(config.photographs):
        started = time.process_time()
        photograph = read_photograph(path)
        reading = time.process_time() - started
        write_photograph(photograph, output_folder / f"copy{path.suffix}")
        files.setdefault(path.suffix, []).append((reading, time.process_time() - started - reading))
        clear = photograph.pixels
        found = find_field_of_view(clear, name=path.name)
        for preset, adaptor in names.items():
            enhancer.set_adaptor(adaptor)
            for seed in config.seeds:
                low = degraded(clear, found, preset, seed)
                results, costs = enhanced(enhancer, low, found.mask, config.working_size)
                labels = {"photograph": path.name, "preset": preset, "seed": seed}
                for method, result in results.items():
                    scores = scores_of(result, clear, found, enhancer.backbone.settings.image_size)
                    rows.append(Measured(**labels, method=method, **scores, **costs.get(method, {})))
                    print(rows[-1], flush=True)
                if seed == config.seeds[0]:
                    sheet = crops([clear, *results.values()], SquareCrop.around(found), config.crop)
                    with write_file_atomically(output_folder / f"crops_{path.stem}_{preset}.png") as temporary:
                        Image.fromarray(sheet).save(temporary, format="PNG")
    return {
        "rows": [asdict(row) for row in rows],
        "files": {
            suffix: dict(zip(("read", "write"), np.median(times, axis=0).tolist(), strict=True))
            for suffix, times in files.items()
        },
        "memory": memory_by_size(
            enhancer,
            read_photograph(find_photographs(config.photographs)[0]),
            config.memory_widths,
            config.working_size,
        ),
        "working_size": config.working_size,
    }


def degraded(clear: np.ndarray, found: FieldOfView, preset: str, seed: int) -> np.ndarray:
    """The photograph (H, W, C) degraded at its own size, as `retina-adapt degrade` does it."""
    crop = SquareCrop.around(found)
    drawn = draw_degradation(preset, seed=seed)
    low = apply_degradation(crop.extract(clear), crop.extract_mask(crop.mask), drawn)
    return crop.restore(low, onto=clear)


def enhanced(
    enhancer: Enhancer, low: np.ndarray, mask: np.ndarray, working_size: int
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, float | None]]]:
    """The results by method, each (H, W, C), and what each took."""
    results, measured = {"degraded": low}, {}
    for detail in DETAILS:
        settings = EnhancementSettings(detail=detail, working_size=working_size if detail == "tiles" else None)
        times = [time.process_time()]
        prepared = enhancer.prepare(low, settings, mask=mask)
        times.append(time.process_time())
        (change,) = enhancer.small_changes([prepared], settings)
        times.append(time.process_time())
        result = apply_at_own_size(prepared, change)
        times.append(time.process_time())
        if detail == DETAILS[0]:
            results["resized"] = resized(prepared, change)
        results[detail] = result
        measured[detail] = dict(zip(("prepare", "network", "apply"), np.diff(times).tolist(), strict=True))
        measured[detail]["seams"] = seams_of(prepared, change)
    return results, measured


def resized(prepared: PhotographCopies, change: SmallChange) -> np.ndarray:
    """The enhanced frame, enlarged and put in place of the photograph."""
    crop = prepared.crop
    frame = (change.low + change.change).clip(0, 1)
    return crop.restore(resize(frame, crop.side, crop.side).clip(0, 1), onto=prepared.pixels)


def seams_of(prepared: PhotographCopies, change: SmallChange) -> float | None:
    if change.tile_side is None:
        return None
    tiles = lay_tiles(change.change.shape[0], change.tile_side, prepared.working_mask)
    if len(tiles) < 2:
        return None
    return seam_ratio(change.change, tiles, prepared.working_mask)


def scores_of(result: np.ndarray, clear: np.ndarray, found: FieldOfView, frame_size: int) -> dict[str, float]:
    """PSNR, PSNR of what is finer than the frame, and SSIM of the green channel."""
    crop = SquareCrop.around(found)
    inside = crop.extract_mask(crop.mask)
    squares = [crop.extract(pixels) for pixels in (result, clear)]
    fine = [square - resize(resize(square, frame_size, frame_size), crop.side, crop.side) for square in squares]
    green = [square[..., 1:2] for square in squares]
    return {
        "psnr": -10 * float(np.log10(np.mean(np.square(squares[0] - squares[1])[inside]))),
        "fine_psnr": -10 * float(np.log10(np.mean(np.square(fine[0] - fine[1])[inside]))),
        "ssim": score_image(green[0], green[1], inside).ssim,
    }


def crops(pictures: list[np.ndarray], crop: SquareCrop, side: int) -> np.ndarray:
    """Two parts of each picture, one below the other: the middle, and one at the rim; uint8."""
    corners = [(0.42, 0.42), (0.4, 0.02)]
    rows = []
    for down, right in corners:
        top, left = crop.top + round(down * crop.side), crop.left + round(right * crop.side)
        rows.append(np.concatenate([picture[top : top + side, left : left + side] for picture in pictures], axis=1))
    return np.rint(255 * np.concatenate(rows)).astype(np.uint8)


def memory_by_size(
    enhancer: Enhancer, photograph: Photograph, widths: list[int], working_size: int
) -> list[dict[str, Any]]:
    """What enhancing takes besides the photograph and the result, both float32, for the same eye at several sizes."""
    pixels = photograph.pixels
    rows = []
    for width in widths:
        low = resize(pixels, round(width * pixels.shape[0] / pixels.shape[1]), width)
        for detail in DETAILS:
            settings = EnhancementSettings(detail=detail, working_size=working_size if detail == "tiles" else None)
            with PeakMemory() as memory:
                prepared = enhancer.prepare(low, settings)
                (change,) = enhancer.small_changes([prepared], settings)
                result = apply_at_own_size(prepared, change)
            rows.append(
                {
                    "width": width,
                    "height": low.shape[0],
                    "detail": detail,
                    "both": 2 * result.nbytes / 1e6,
                    "besides": memory.megabytes - result.nbytes / 1e6,
                }
            )
    return rows
