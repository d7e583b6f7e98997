"""Which backbone and adaptors took part: names for readers, checksums for certainty."""

from dataclasses import dataclass
from pathlib import Path

from retina_adapt.adaptors import backbone_tensors, describe_adaptor
from retina_adapt.backbones import ReconstructionBackbone, fingerprint_tensors


@dataclass(frozen=True)
class ModelIdentity:
    """One model that took part.

    Attributes:
        role: "backbone" or "adaptor".
        name: for readers; two models may share one.
        sha256: 64 hexadecimal digits, equal exactly for equal models. A backbone's is its fingerprint, over its
            tensors; an adaptor's is over its configuration and tensors.
        kind: an adaptor's kind; empty for a backbone.
        purpose: what an adaptor undoes; empty for a backbone.
    """

    role: str
    name: str
    sha256: str
    kind: str = ""
    purpose: str = ""


def identify_adaptor(adaptor: Path | str, name: str | None = None) -> ModelIdentity:
    """The identity of an adaptor's folder or file, called `name`, or by its own name if None.

    Raises:
        AdaptorFileError: names the file and what is wrong.
    """
    description = describe_adaptor(adaptor)
    return ModelIdentity(
        role="adaptor",
        name=name or description.metadata.name or Path(adaptor).stem,
        sha256=description.sha256,
        kind=description.kind,
        purpose=description.metadata.degradation,
    )


def identify_backbone(backbone: ReconstructionBackbone, name: str) -> ModelIdentity:
    """The identity of a backbone, with or without adaptors attached to it."""
    return ModelIdentity(role="backbone", name=name, sha256=fingerprint_tensors(backbone_tensors(backbone)))
