"""Record in an enhanced image's file where it comes from: what enhanced it, with which settings, from which input.

JPEG, PNG and TIFF hold the record as an XMP packet (ISO 16684-1), beside the camera's own EXIF, which stays as it was.
The packet has a sentence for readers and the whole record as JSON. DICOM objects hold the same record, see `dicom.py`.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, get_type_hints
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from retina_adapt.plain_values import fits_type

NAMESPACE = "urn:retina-adapt:provenance:1"
_MOST_BYTES = 2**20
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:retina="{namespace}" xmp:CreatorTool={software}>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{sentence}</rdf:li></rdf:Alt></dc:description>
<retina:provenance>{record}</retina:provenance>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True)
class UsedAdaptor:
    """One adaptor that took part in an enhancement.

    Attributes:
        name: for readers.
        sha256: over its configuration and tensors, 64 hexadecimal digits.
        weight: 1 as trained; other values where several adaptors act together.
        turn: 1 if it saw the photograph, 2 if it saw the result of turn 1, and so on.
    """

    name: str
    sha256: str
    weight: float = 1.0
    turn: int = 1


@dataclass(frozen=True)
class Provenance:
    """What made an enhanced image.

    Attributes:
        software: name and version.
        backbone: its name, for readers.
        backbone_fingerprint: sha256 over its tensors, 64 hexadecimal digits.
        adaptors: those that took part.
        mode: fast or diffusion.
        steps: sampling steps; None in mode fast.
        seed: of the noise; None in mode fast.
        scheduler: name of the sampling scheduler; None in mode fast, or for the backbone's own.
        detail: where detail finer than the backbone's frame came from.
        working_size, tile_size: sides in pixels, if asked for with the detail tiles; None for the defaults.
        precision: of the network's convolutions.
        input_sha256: of the input file's bytes, see `sha256_of`; None if the input was no file.
    """

    software: str
    backbone: str
    backbone_fingerprint: str
    adaptors: tuple[UsedAdaptor, ...]
    mode: str
    steps: int | None = None
    seed: int | None = None
    scheduler: str | None = None
    detail: str | None = None
    working_size: int | None = None
    tile_size: int | None = None
    precision: str | None = None
    input_sha256: str | None = None

    def sentence(self) -> str:
        """The record in one line, for readers."""
        parts = [
            ("" if adaptor.turn == 1 else "then ")
            + f"{adaptor.name} ({adaptor.sha256[:12]})"
            + ("" if adaptor.weight == 1 else f" with weight {adaptor.weight:g}")
            for adaptor in self.adaptors
        ]
        how = [f"mode {self.mode}"]
        if self.mode != "fast":
            how += [f"{self.steps} steps", f"seed {self.seed}"]
        named = ("scheduler", "detail", "working_size", "tile_size", "precision")
        how += [f"{name.replace('_', ' ')} {getattr(self, name)}" for name in named if getattr(self, name) is not None]
        return (
            f"Enhanced by {self.software}, a neural network: {', '.join(how)}; adaptors "
            f"{', '.join(parts) or 'none'}; backbone {self.backbone} ({self.backbone_fingerprint[:12]}). "
            "Not the original photograph; not for diagnosis without it."
        )

    def to_json(self) -> str:
        """The record as JSON; `from_json` restores an equal one."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Provenance | None":
        """Read a record from JSON; None if the text holds none that this version understands."""
        try:
            values = json.loads(text)
            adaptors = tuple(UsedAdaptor(**adaptor) for adaptor in values.pop("adaptors"))
            record = cls(adaptors=adaptors, **values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return record if _has_the_right_types(record) else None


def xmp_packet(provenance: Provenance) -> bytes:
    """The XMP packet that image files hold."""
    text = _PACKET.format(
        namespace=NAMESPACE,
        software=quoteattr(provenance.software),
        sentence=escape(provenance.sentence()),
        record=escape(provenance.to_json()),
    )
    return text.encode("utf-8")


def provenance_of_xmp(packet: object) -> Provenance | None:
    """Read the record from an XMP packet; None if it has none: other programs write XMP too, not always as bytes."""
    if not isinstance(packet, bytes) or len(packet) > _MOST_BYTES:
        return None
    try:
        # Ours are UTF-8. In another encoding the parser could see what the next check misses.
        text = packet.decode("utf-8").strip("\x00 \r\n")
    except UnicodeDecodeError:
        return None
    if NAMESPACE not in text or "<!" in text:
        # '<!' begins a document type declaration, without which no entity can blow up; XMP has none.
        return None
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None
    found = root.find(f".//{{{NAMESPACE}}}provenance")
    return None if found is None or not found.text else Provenance.from_json(found.text)


def sha256_of(content: bytes) -> str:
    """Identity of a file's content: 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _has_the_right_types(record: Provenance) -> bool:
    def fits(part: Any, *left_out: str) -> bool:
        expected = get_type_hints(type(part))
        return all(fits_type(getattr(part, name), expected[name]) for name in expected.keys() - set(left_out))

    return fits(record, "adaptors") and all(fits(adaptor) for adaptor in record.adaptors)
