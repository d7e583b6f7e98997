"""Read DICOM ophthalmic photographs; needs the extra `dicom` (pydicom). `dicom_derivation.py` writes them."""

import warnings
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from retina_adapt.imaging.photograph import ImageReadError, Photograph
from retina_adapt.imaging.provenance import Provenance

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# pydicom warns of malformed values that do not concern the picture. Filtered in the way explained in `reading.py`.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.", append=True)

PYDICOM_REMEDY = "install it, in this package's checkout: pip install '.[dicom]'"
_PHOTOMETRIC = {
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_ICT",
    "YBR_RCT",
    "MONOCHROME1",
    "MONOCHROME2",
}
# What pydicom needs and cannot guess; PS3.3, C.7.6.3 requires each.
_MEANING_OF_SAMPLES = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)
# Our own data element: PS3.5, 7.8, private data elements.
PRIVATE_GROUP, PRIVATE_CREATOR, PROVENANCE_ELEMENT = 0x0071, "RETINA_ADAPT PROVENANCE", 0x01

SIGNATURE_END = 132
"""Number of leading bytes of a file that `is_dicom` needs."""


def is_dicom(encoded: bytes) -> bool:
    """Whether a file's bytes begin as DICOM files do (PS3.10, 7.1)."""
    return encoded[128:SIGNATURE_END] == b"DICM"


def is_bare_dicom(encoded: bytes) -> bool:
    """Whether bytes begin with an element of group 2 or 8 (PS3.5, 7.1), as a DICOM object without preamble does."""
    return encoded[:2] in (b"\x02\0", b"\x08\0") and encoded[3:4] == b"\0"


def has_burned_in_writing(header: bytes) -> bool:
    """Whether the object declares writing in the picture (PS3.3, C.7.6.1.1), which may be a patient's name.

    Args:
        header: a photograph's `dicom_header`.
    """
    import pydicom

    read = pydicom.dcmread(BytesIO(header), specific_tags=["BurnedInAnnotation"])
    return read.get("BurnedInAnnotation") == "YES"


def decode_dicom(encoded: bytes, name: str) -> Photograph:
    """Decode a DICOM image of one frame, 8 to 16 bits, grey or colour.

    All that the object says about patient, study and camera is kept in `Photograph.dicom_header`.

    Args:
        encoded: the file's bytes.
        name: what error messages call it.

    Raises:
        ImageReadError: pydicom is missing; or the object is damaged, incomplete or too large, or holds no picture,
            several frames, or samples of another kind.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ImageReadError(f"{name}: reading DICOM needs pydicom; {PYDICOM_REMEDY}") from error
    try:
        dataset = pydicom.dcmread(BytesIO(encoded))
        _require_photograph(dataset, name)
        samples = pydicom.pixels.pixel_array(dataset, raw=False)
        bits = int(dataset.BitsStored)
        header = _header_of(dataset)
        profile = _icc_profile(dataset)
        provenance = _provenance_of(dataset)
        is_inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    except ImageReadError:
        raise
    except Exception as error:  # whatever pydicom's many parts raise for damaged bytes
        raise ImageReadError(
            f"{name}: the DICOM object is damaged, or its compression is not supported ({error}); export it again, "
            "uncompressed"
        ) from error
    pixels = samples.reshape(*samples.shape[:2], -1).astype(np.float32) / np.float32(2**bits - 1)
    pixels = np.clip(1 - pixels if is_inverted else pixels, 0, 1)
    return Photograph(
        pixels=np.ascontiguousarray(pixels),
        bit_depth=8 if bits <= 8 else 16,
        icc_profile=profile,
        provenance=provenance,
        dicom_header=header,
    )


def _require_photograph(dataset: "Dataset", name: str) -> None:
    if "PixelData" not in dataset:
        raise ImageReadError(f"{name}: the DICOM object holds no picture; give the photographs of the study")
    if missing := [keyword for keyword in _MEANING_OF_SAMPLES if dataset.get(keyword) is None]:
        raise ImageReadError(
            f"{name}: the DICOM object does not state {', '.join(missing)}, without which its samples mean nothing; "
            "export it again from the system it came from"
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageReadError(f"{name}: holds {frames} frames; export the one you mean as an object of its own")
    photometric, bits = dataset.PhotometricInterpretation, int(dataset.BitsStored)
    if photometric not in _PHOTOMETRIC or not 8 <= bits <= 16 or dataset.PixelRepresentation != 0:
        raise ImageReadError(
            f"{name}: samples are {photometric} of {bits} bits; export it as RGB or grey with 8 to 16 unsigned bits"
        )
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 2**31)
    if dataset.Rows * dataset.Columns > limit:
        raise ImageReadError(
            f"{name}: too large ({dataset.Columns} x {dataset.Rows} pixels); cut the picture to the eye or scale it "
            "down"
        )


def _header_of(dataset: "Dataset") -> bytes:
    """The object without its pixels, as a DICOM file."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian

    if _is_lossy(dataset.file_meta.TransferSyntaxUID):
        dataset.LossyImageCompression = "01"  # once lost, always lost: PS3.3, C.7.6.1.1.5
    # De-identified objects may have their own identifiers in the file meta information alone.
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if keyword not in dataset:
            setattr(dataset, keyword, getattr(dataset.file_meta, f"MediaStorage{keyword}"))
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def _is_lossy(transfer_syntax: "UID") -> bool:
    from pydicom import uid

    lossless = (
        uid.HTJ2KLossless,
        uid.HTJ2KLosslessRPCL,
        uid.JPEG2000Lossless,
        uid.JPEG2000MCLossless,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.RLELossless,
    )
    return transfer_syntax.is_compressed and transfer_syntax not in lossless


def _icc_profile(dataset: "Dataset") -> bytes | None:
    """The object's ICC profile, or that of its Optical Path Sequence, where some devices put it."""
    holders = [dataset, *(dataset.get("OpticalPathSequence") or [])]
    profiles = [bytes(holder.ICCProfile) for holder in holders if holder.get("ICCProfile")]
    return profiles[0] if profiles else None


def _provenance_of(dataset: "Dataset") -> Provenance | None:
    try:
        block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)
        return Provenance.from_json(block[PROVENANCE_ELEMENT].value)
    except (KeyError, TypeError):
        return None
