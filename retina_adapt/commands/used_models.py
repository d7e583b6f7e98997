"""Which backbone, adaptors and router a run uses, and what identifies them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retina_adapt.adaptors import describe_adaptor
from retina_adapt.embedded import adaptor_folder, embedded_folder, embedded_names
from retina_adapt.enhancement import Enhancer
from retina_adapt.report import ModelIdentity, identify_adaptor
from retina_adapt.routing import Router, load_router

AUTO = "auto"
BACKBONE = "backbone"


def identities_of(
    enhancer: Enhancer, backbone: str, fingerprint: str, asked_for: Mapping[str, str]
) -> dict[str, ModelIdentity]:
    """The backbone under "backbone", and each loaded adaptor under its name; those not in `asked_for` are embedded."""
    folders = {
        name: adaptor_folder(asked_for[name]) if name in asked_for else embedded_folder("adaptors", name)
        for name in enhancer.adaptors
    }
    return {BACKBONE: ModelIdentity("backbone", Path(backbone).name, fingerprint)} | {
        name: identify_adaptor(folder, name) for name, folder in folders.items()
    }


def request_identity(name: str, models: Mapping[str, ModelIdentity], router: Path) -> str:
    """An adaptor's sha256; for `auto`, the sha256 of all that the router's choice and its result depend on."""
    if name != AUTO:
        return models[name].sha256
    files = sorted(path for path in router.rglob("*") if path.is_file())
    parts = [path.read_bytes() for path in files]
    # Names too, since the router chooses by them.
    parts += [f"{name} {identity.sha256}".encode() for name, identity in sorted(models.items()) if name != BACKBONE]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def load_router_and_adaptors(folder: Path, enhancer: Enhancer, fingerprint: str, device: Any) -> Router:
    """Load the router, and add to the enhancer the embedded adaptors that it may choose.

    Embedded adaptors of another backbone are left out, and so are those that differ in kind from the adaptors loaded
    already, which they could not join.
    """
    router = load_router(folder)
    router.network.to(device)
    kinds = {enhancer.kind_of(name) for name in enhancer.adaptors}
    wanted = {*router.settings.adaptors.values()} & {*embedded_names("adaptors")} - {*enhancer.adaptors}
    for name in sorted(wanted):
        folder_of_adaptor = embedded_folder("adaptors", name)
        description = describe_adaptor(folder_of_adaptor)
        if description.backbone_fingerprint == fingerprint and kinds <= {description.kind}:
            enhancer.load_adaptor(folder_of_adaptor)
    return router
