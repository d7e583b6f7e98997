"""What an adaptor says about itself before any tensor is read: its configuration, strict and sealed by a sha256."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftConfig

from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.integrity import content_sha256
from retina_adapt.adaptors.kinds import KINDS, kind_of
from retina_adapt.adaptors.metadata import AdaptorMetadata, MetadataError
from retina_adapt.adaptors.stored_settings import settings_from_plain, settings_to_plain

FORMAT_VERSION = "2"
_KEYS = {
    "format_version",
    "adaptor_kind",
    "backbone_fingerprint",
    "settings",
    "metadata",
    "tensors_sha256",
    "sha256",
}


@dataclass(frozen=True)
class AdaptorDescription:
    """An adaptor's configuration.

    Attributes:
        backbone_fingerprint: fingerprint of the backbone it was trained on.
        settings: the kind's settings.
        metadata: where it comes from and what it is for.
        tensors_sha256: `fingerprint_tensors` of its tensors.
    """

    backbone_fingerprint: str
    settings: PeftConfig
    metadata: AdaptorMetadata
    tensors_sha256: str

    @property
    def kind(self) -> str:
        """The adaptor's kind, one of `KINDS`."""
        return kind_of(self.settings)

    @property
    def sha256(self) -> str:
        """The adaptor's identity: equal if and only if configuration and tensors are equal."""
        return content_sha256(self._content())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the sha256.

        Raises:
            AdaptorFileError: a setting cannot be stored.
        """
        return {**self._content(), "sha256": self.sha256}

    def _content(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "adaptor_kind": self.kind,
            "backbone_fingerprint": self.backbone_fingerprint,
            "settings": settings_to_plain(self.settings),
            "metadata": self.metadata.to_dict(),
            "tensors_sha256": self.tensors_sha256,
        }


def header_of(description: AdaptorDescription) -> dict[str, str]:
    """The header of the tensor file, which keeps it from being taken for another adaptor's."""
    return {
        "format": "pt",
        "format_version": FORMAT_VERSION,
        "adaptor_kind": description.kind,
        "backbone_fingerprint": description.backbone_fingerprint,
        "sha256": description.sha256,
    }


def require_header(header: dict[str, str], description: AdaptorDescription, *, path: Path, config_origin: str) -> None:
    """Raise AdaptorFileError if the tensor file's header does not match the configuration."""
    for key, expected in header_of(description).items():
        if key != "format" and header.get(key) != expected:
            raise AdaptorFileError(
                f"{path}: its header says {key} = {header.get(key)!r}, but {config_origin} says {expected!r}; "
                "the two do not belong together"
            )


def parse_description(text: str, *, origin: str) -> AdaptorDescription:
    """Parse a configuration from JSON.

    Raises:
        AdaptorFileError: names `origin` and what is wrong: invalid JSON, an unknown kind, version, setting or field,
            or a sha256 that does not match the content.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdaptorFileError(f"{origin}: cannot be read as JSON: {error}") from error
    # Checked before the keys, which differ between versions.
    version = config.get("format_version") if isinstance(config, dict) else None
    if version is not None and version != FORMAT_VERSION:
        raise AdaptorFileError(
            f"{origin}: format version {version!r}, but this retina_adapt reads {FORMAT_VERSION!r}; "
            "install the version that wrote it"
        )
    if not isinstance(config, dict) or set(config) != _KEYS:
        raise AdaptorFileError(f"{origin}: must hold exactly the keys {', '.join(sorted(_KEYS))}")
    for key in ("backbone_fingerprint", "tensors_sha256", "sha256"):
        if not isinstance(config[key], str) or not re.fullmatch("[0-9a-f]{64}", config[key]):
            raise AdaptorFileError(f"{origin}: {key} must be 64 hexadecimal digits")
    kind = config["adaptor_kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise AdaptorFileError(f"{origin}: unknown adaptor kind {kind!r}; known: {', '.join(KINDS)}")
    try:
        metadata = AdaptorMetadata.from_dict(config["metadata"], origin=origin)
    except MetadataError as error:
        raise AdaptorFileError(str(error)) from error
    description = AdaptorDescription(
        backbone_fingerprint=config["backbone_fingerprint"],
        settings=settings_from_plain(kind, config["settings"], origin=origin),
        metadata=metadata,
        tensors_sha256=config["tensors_sha256"],
    )
    # Computed from the parsed values, not from the text, so it also fails if parsing changed anything.
    if description.sha256 != config["sha256"]:
        raise AdaptorFileError(
            f"{origin}: its settings and metadata do not give the sha256 that it states; it was damaged or altered: "
            "fetch or export the adaptor again"
        )
    return description
