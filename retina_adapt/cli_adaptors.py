"""`retina-adapt adaptors`: the verbs for adaptor files."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from retina_adapt.cli_shared import AsJson, answers

adaptors_app = typer.Typer(help="List, check, compare and share adaptors.", no_args_is_help=True)

Adaptor = Annotated[str, typer.Argument(help="An embedded adaptor, an adaptor's folder, or its single file.")]
Repository = Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub, or on the server of HF_ENDPOINT.")]


@adaptors_app.command("list")
def list_adaptors(
    folder: Annotated[Path | None, typer.Argument(help="A folder of adaptors, listed after the embedded ones.")] = None,
    as_json: AsJson = False,
) -> None:
    """List adaptors: what they undo, kind, size, and PSNR before and after."""
    from retina_adapt.commands.adaptors import adaptor_table, find_adaptors, listed_values

    found = find_adaptors(folder)
    if as_json:
        _print_json(listed_values(found))
    else:
        answers.print(adaptor_table(found))


@adaptors_app.command(epilog="Example: retina-adapt adaptors info light --json")
def info(adaptor: Adaptor, as_json: AsJson = False) -> None:
    """Print what an adaptor says about itself."""
    from retina_adapt.commands.adaptors import adaptor_information, information_lines

    information = adaptor_information(adaptor)
    if as_json:
        _print_json(information)
    else:
        print("\n".join(information_lines(information)))


@adaptors_app.command(epilog="Example: retina-adapt adaptors verify light --backbone nano")
def verify(
    adaptor: Adaptor,
    backbone: Annotated[
        str | None, typer.Option(help="An embedded backbone or a backbone folder that it must fit.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every bit of an adaptor, and whether it fits a backbone."""
    from retina_adapt.commands.adaptors import verify_adaptor

    description = verify_adaptor(adaptor, backbone)
    if as_json:
        _print_json({"adaptor": adaptor, "whole": True, "fits": backbone, "sha256": description.sha256})
        return
    fit = "" if backbone is None else f", fits {backbone}"
    print(f"{adaptor}: whole{fit}, sha256 {description.sha256}")


@adaptors_app.command(epilog="Example: retina-adapt adaptors diff light runs/light/adaptor")
def diff(first: Adaptor, second: Adaptor, as_json: AsJson = False) -> None:
    """Compare two adaptors: settings, metadata, each tensor, and whether one can be hot-swapped for the other."""
    from retina_adapt.adaptors.comparison import compare_adaptors
    from retina_adapt.commands.adaptors import comparison_lines, comparison_values
    from retina_adapt.embedded import adaptor_folder

    comparison = compare_adaptors(adaptor_folder(first), adaptor_folder(second))
    if as_json:
        _print_json(comparison_values(comparison))
    else:
        print("\n".join(comparison_lines(comparison)))


@adaptors_app.command(epilog="Example: retina-adapt adaptors publish runs/light/adaptor owner/light --dry-run")
def publish(
    adaptor: Adaptor,
    repository: Repository,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Verify and list what would be uploaded, without network.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload an adaptor, with the token of HF_TOKEN or 'hf auth login'."""
    from retina_adapt.adaptors.hub import publish_adaptor
    from retina_adapt.embedded import adaptor_folder

    publication = publish_adaptor(adaptor_folder(adaptor), repository, dry_run=dry_run, public=public)
    if as_json:
        sha256 = publication.description.sha256
        files = publication.files
        _print_json({"repository": repository, "revision": publication.revision, "sha256": sha256, "files": files})
        return
    for name, size in publication.files.items():
        print(f"{name}: {size:,} bytes")
    print(f"sha256: {publication.description.sha256}")
    print(f"revision: {publication.revision or 'none, nothing was uploaded'}")


@adaptors_app.command(epilog="Example: retina-adapt adaptors fetch owner/light adaptors/light --revision COMMIT")
def fetch(
    repository: Repository,
    folder: Annotated[Path, typer.Argument(help="A new folder for the adaptor.")],
    revision: Annotated[
        str, typer.Option(help="A commit's hash, or a branch or tag; the commit is recorded.")
    ] = "main",
    sha256: Annotated[str | None, typer.Option(help="The sha256 that the adaptor must have.")] = None,
    most_megabytes: Annotated[float, typer.Option(min=0, help="Refuse larger adaptors.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Download an adaptor, verify it, and put it in place."""
    from retina_adapt.adaptors.hub import fetch_adaptor

    origin = fetch_adaptor(repository, folder, revision=revision, sha256=sha256, most_megabytes=most_megabytes)
    if as_json:
        _print_json({"folder": str(folder), **dataclasses.asdict(origin)})
        return
    print(f"{folder}: {origin.repository} at {origin.revision}, sha256 {origin.sha256}")


@adaptors_app.command(epilog="Example: retina-adapt adaptors export light light.safetensors")
def export(
    adaptor: Adaptor,
    output: Annotated[Path, typer.Argument(help="The new file, or the new folder for PEFT.")],
    form: Annotated[
        Literal["single-file", "peft"],
        typer.Option(
            help="single-file: to share; peft: for PEFT, which needs this package for the kinds residual and serial."
        ),
    ] = "single-file",
) -> None:
    """Write an adaptor to one file, or in PEFT's own layout."""
    from retina_adapt.adaptors.peft_layout import export_to_peft
    from retina_adapt.adaptors.single_file import export_single_file
    from retina_adapt.embedded import adaptor_folder

    write = export_to_peft if form == "peft" else export_single_file
    description = write(adaptor_folder(adaptor), output)
    print(f"{output}: adaptor {description.metadata.name}, sha256 {description.sha256}")


@adaptors_app.command(
    "import", epilog="Example: retina-adapt adaptors import lora adaptors/light --metadata light.yaml"
)
def import_lora(
    source: Annotated[Path, typer.Argument(help="A folder written by PEFT, or a safetensors file of diffusers.")],
    folder: Annotated[Path, typer.Argument(help="A new folder for the adaptor.")],
    metadata: Annotated[
        Path, typer.Option(help="YAML with the adaptor's metadata; docs/publishing.md has an example.")
    ],
    backbone: Annotated[str, typer.Option(help="An embedded backbone or a backbone folder.")] = "nano",
) -> None:
    """Convert a LoRA or DoRA from PEFT or diffusers to an adaptor."""
    from retina_adapt.commands.adaptors import import_adaptor

    description = import_adaptor(source, folder, backbone=backbone, metadata_file=metadata)
    print(f"{folder}: adaptor {description.metadata.name}, {description.kind}, sha256 {description.sha256}")


def _print_json(values: object) -> None:
    print(json.dumps(values, indent=2))
