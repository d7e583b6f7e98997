"""`retina-adapt enhance`: enhance a folder of photographs with one adaptor or several."""

from pathlib import Path

from rich.console import Console

from retina_adapt.commands.batch import BatchResult, process_photographs
from retina_adapt.enhancement import EnhancementMode, Enhancer
from retina_adapt.imaging import read_photograph, write_photograph


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
        masks: folder of known fields of view: images of the photographs' names, nonzero inside.

    Raises:
        UnknownModelError, BackboneFileError, AdaptorFileError: before any photograph is read.
    """
    enhancer = Enhancer.from_pretrained(backbone, device=device)
    names = [enhancer.load_adaptor(adaptor) for adaptor in adaptors]
    folders = {name: output if len(names) == 1 else output / name for name in names}

    def process(path: Path, target: Path) -> list[Path]:
        photograph = read_photograph(path)
        mask = None if masks is None else read_photograph(_mask_of(path, masks)).pixels.max(axis=2) > 0
        written = []
        for name in names:
            enhancer.set_adaptor(name)
            enhanced = enhancer(
                photograph,
                mode=mode,
                steps=steps,
                seed=seed,
                field_of_view=field_of_view,
                mask=mask,
                name=str(path),
            )
            target_of_adaptor = folders[name] / target.relative_to(output)
            write_photograph(enhanced, target_of_adaptor)
            written.append(target_of_adaptor)
        return written

    return process_photographs(source, output, process, description="Enhancing", console=console)


def _mask_of(photograph: Path, masks: Path) -> Path:
    found = sorted(masks.glob(f"{photograph.stem}.*"))
    # A missing mask gives the reader's own error, which names the file that was looked for.
    return found[0] if found else masks / f"{photograph.stem}.png"
