"""Write DICOM images derived from photographs read from DICOM; needs the extra `dicom` (pydicom).

The result is always a new image (DICOM PS3.3, General Image and General Reference modules): it has its own UIDs, states
from which image it was derived and how, and stays in the patient's study. Pixels are stored uncompressed, so that
nothing is lost a second time.
"""

import contextlib
import copy
import datetime
import uuid
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retina_adapt import __version__
from retina_adapt.imaging.dicom import (
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    PROVENANCE_ELEMENT,
    PYDICOM_REMEDY,
)
from retina_adapt.imaging.photograph import ImageWriteError, Photograph
from retina_adapt.imaging.provenance import Provenance

if TYPE_CHECKING:
    from pydicom import Dataset

_OF_THE_ORIGINALS_PIXELS = (
    "PixelData",
    "IconImageSequence",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTSequence",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
)


def encode_dicom(photograph: Photograph, samples: np.ndarray, path: Path) -> bytes:
    """Encode an image derived from the DICOM object that the photograph was read from.

    Args:
        photograph: with `dicom_header`.
        samples: its pixels (H, W, N), uint8 or uint16 over the full range; N = 1 grey, 3 RGB.
        path: where the result will be written.

    Raises:
        ImageWriteError: pydicom is missing, or `path` is the photograph's original.
    """
    try:
        import pydicom
        from pydicom.uid import ExplicitVRLittleEndian
    except ImportError as error:
        raise ImageWriteError(f"{path}: writing DICOM needs pydicom; {PYDICOM_REMEDY}") from error
    assert photograph.dicom_header is not None  # `require_format_for` refuses all others
    original = pydicom.dcmread(BytesIO(photograph.dicom_header))
    _require_not_the_original(original, path)
    derived = _derive(original, photograph.provenance)
    _set_pixels(derived, samples, photograph.icc_profile)
    derived.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, derived, enforce_file_format=True)
    return buffer.getvalue()


def _require_not_the_original(original: "Dataset", path: Path) -> None:
    import pydicom

    if not path.exists():
        return
    try:
        present = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
    except Exception:  # whatever pydicom's many parts raise for damaged bytes
        return
    if present.get("SOPInstanceUID") == original.SOPInstanceUID:
        raise ImageWriteError(f"{path}: is the original, which is never overwritten; name another folder or file")


def _derive(original: "Dataset", provenance: Provenance | None) -> "Dataset":
    """A new object in the same study, without pixels."""
    import pydicom

    derived = copy.deepcopy(original)
    for keyword in _OF_THE_ORIGINALS_PIXELS:
        if keyword in derived:
            delattr(derived, keyword)
    now = datetime.datetime.now(datetime.UTC).astimezone()
    sentence = provenance.sentence() if provenance else f"Changed, not enhanced, by retina_adapt {__version__}."
    # ASCII fits whatever character set the object has; characters that it lacks would be written as question marks.
    sentence = sentence.encode("ascii", "backslashreplace").decode()

    derived.SOPInstanceUID = pydicom.uid.generate_uid(prefix=None)
    # Images of one series that are enhanced in the same way share a new series; UIDs from UUIDs: PS3.5, B.2.
    series = f"{original.get('SeriesInstanceUID')} {sentence}"
    derived.SeriesInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, series).int}"
    derived.file_meta.MediaStorageSOPClassUID = original.SOPClassUID
    derived.file_meta.MediaStorageSOPInstanceUID = derived.SOPInstanceUID
    image_type = original.get("ImageType") or []
    image_type = [image_type] if isinstance(image_type, str) else list(image_type)
    derived.ImageType = ["DERIVED", *(image_type[1:] or ["PRIMARY"])]
    derived.DerivationDescription = sentence[:1024]  # the most that the value representation ST holds
    # Without provenance it was not enhanced: it shows a simulated fault, for instance.
    made = "enhanced" if provenance else "changed"
    derived.SeriesDescription = f"{str(original.get('SeriesDescription') or '')[:40]} {made}".strip()
    derived.InstanceCreationDate = derived.ContentDate = now.strftime("%Y%m%d")
    derived.InstanceCreationTime = derived.ContentTime = now.strftime("%H%M%S")

    source = pydicom.Dataset()
    source.ReferencedSOPClassUID = original.SOPClassUID
    source.ReferencedSOPInstanceUID = original.SOPInstanceUID
    source.PurposeOfReferenceCodeSequence = [_code("121322", "Source image for image processing operation")]
    derived.SourceImageSequence = [source]

    equipment = pydicom.Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109103", "Modifying Equipment")]
    equipment.Manufacturer = "retina_adapt"
    equipment.SoftwareVersions = __version__
    equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    equipment.ContributionDescription = sentence[:1024]
    derived.ContributingEquipmentSequence = [*(original.get("ContributingEquipmentSequence") or []), equipment]
    with contextlib.suppress(KeyError):
        # Left by the enhancement that made the original, if one did.
        del derived.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[PROVENANCE_ELEMENT]
    if provenance:
        block = derived.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
        block.add_new(PROVENANCE_ELEMENT, "UT", provenance.to_json())
    return derived


def _set_pixels(derived: "Dataset", samples: np.ndarray, icc_profile: bytes | None) -> None:
    """Store `samples`, (H, W, N) over the full range of uint8 or uint16, in as many bits as the original had."""
    channels = samples.shape[2]
    stored_bits = int(derived.BitsStored) if samples.dtype == np.uint16 else 8
    scaled = np.rint(samples * ((2**stored_bits - 1) / np.iinfo(samples.dtype).max)).astype(samples.dtype)
    derived.Rows, derived.Columns = samples.shape[:2]
    derived.SamplesPerPixel = channels
    derived.PhotometricInterpretation = "RGB" if channels == 3 else "MONOCHROME2"
    if channels == 3:
        derived.PlanarConfiguration = 0
    if "PresentationLUTShape" in derived:
        derived.PresentationLUTShape = "IDENTITY"
    derived.BitsAllocated, derived.BitsStored = 8 * samples.itemsize, stored_bits
    derived.HighBit, derived.PixelRepresentation = stored_bits - 1, 0
    content = scaled.astype(samples.dtype.newbyteorder("<")).tobytes()
    derived.add_new("PixelData", "OB" if samples.itemsize == 1 else "OW", content + b"\x00" * (len(content) % 2))
    if icc_profile and "OpticalPathSequence" not in derived:
        derived.ICCProfile = icc_profile


def _code(value: str, meaning: str) -> "Dataset":
    """A code of DICOM's own terminology, PS3.16."""
    import pydicom

    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
