"""`retina-adapt enhance`: enhance a folder of photographs with one adaptor or several, or with the one each needs."""

import dataclasses
import json
import shutil
from pathlib import Path

from rich.console import Console

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.commands.batch import BatchResult, process_photographs
from retina_adapt.embedded import embedded_names, router_folder
from retina_adapt.enhancement import EnhancementMode, Enhancer
from retina_adapt.imaging import read_photograph, write_photograph
from retina_adapt.routing import Router, load_router

AUTO = "auto"
ROUTES_FILE = "routes.json"


def enhance_photographs(
    source: Path,
    output: Path,
    *,
    adaptors: list[str],
    backbone: str,
    mode: EnhancementMode,
    steps: int,
    seed: int,
    field_of_view: str,
    masks: Path | None,
    device: str,
    console: Console,
) -> BatchResult:
    """Enhance each photograph by each adaptor, in the photograph's own geometry and format.

    With one adaptor the results lie in `output`; with several, in one folder an adaptor below it.

    Args:
        adaptors: names or folders. `auto` chooses for each photograph, by the embedded router, among the embedded
            adaptors and those given beside it, prints the choice, and records all choices in `routes.json` beside the
            results. A photograph that needs none, or whose adaptor there is not, is copied byte for byte.
        masks: folder of known fields of view: images of the photographs' names, nonzero inside.

    Raises:
        UnknownModelError, BackboneFileError, AdaptorFileError, RouterFileError: before any photograph is read.
    """
    enhancer = Enhancer.from_pretrained(backbone, device=device)
    names = [adaptor if adaptor == AUTO else enhancer.load_adaptor(adaptor) for adaptor in adaptors]
    router = _load_router(enhancer, device) if AUTO in names else None
    folders = {name: output if len(names) == 1 else output / name for name in names}
    routes: dict[str, dict] = {}

    def process(path: Path, target: Path) -> list[Path]:
        photograph = read_photograph(path)
        mask = None if masks is None else read_photograph(_mask_of(path, masks)).pixels.max(axis=2) > 0
        written = []
        for name in names:
            chosen: str | None = name
            relative = target.relative_to(output)
            if router is not None and name == AUTO:
                route = router.route(
                    photograph, enhancer.adaptors, field_of_view=field_of_view, mask=mask, name=str(path)
                )
                console.print(f"{relative}: {route}", highlight=False, soft_wrap=True)
                routes[relative.as_posix()] = dataclasses.asdict(route)
                chosen = route.adaptor
            target_of_adaptor = folders[name] / relative
            if chosen is None:
                # The file rather than its pixels: writing a JPEG anew would change them.
                with write_file_atomically(target_of_adaptor) as temporary:
                    shutil.copyfile(path, temporary)
            else:
                enhancer.set_adaptor(chosen)
                enhanced = enhancer(
                    photograph,
                    mode=mode,
                    steps=steps,
                    seed=seed,
                    field_of_view=field_of_view,
                    mask=mask,
                    name=str(path),
                )
                write_photograph(enhanced, target_of_adaptor)
            written.append(target_of_adaptor)
        return written

    result = process_photographs(source, output, process, description="Enhancing", console=console)
    if router is not None:
        with write_file_atomically(folders[AUTO] / ROUTES_FILE) as temporary:
            temporary.write_text(json.dumps(routes, indent=1) + "\n", encoding="utf-8")
    return result


def _load_router(enhancer: Enhancer, device: str) -> Router:
    """The embedded router; the embedded adaptors that it may choose are loaded beside those that are already."""
    router = load_router(router_folder())
    router.network.to(device)
    for name in sorted({*router.settings.adaptors.values()} & {*embedded_names("adaptors")} - {*enhancer.adaptors}):
        enhancer.load_adaptor(name)
    return router


def _mask_of(photograph: Path, masks: Path) -> Path:
    found = sorted(masks.glob(f"{photograph.stem}.*"))
    # A missing mask gives the reader's own error, which names the file that was looked for.
    return found[0] if found else masks / f"{photograph.stem}.png"
