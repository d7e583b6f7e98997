"""Write photographs, whole or not at all, in the format that the suffix names."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.imaging.dicom_derivation import encode_dicom
from retina_adapt.imaging.lossless_formats import encode_png, encode_tiff
from retina_adapt.imaging.photograph import (
    DICOM_SUFFIXES,
    JPEG_SUFFIXES,
    PNG_SUFFIXES,
    SUFFIXES,
    TIFF_SUFFIXES,
    ImageWriteError,
    Photograph,
)
from retina_adapt.imaging.provenance import xmp_packet
from retina_adapt.imaging.resolution import dots_per_inch

# libjpeg's limit; the format's own is a little higher.
LONGEST_JPEG_SIDE = 65_500


def write_photograph(photograph: Photograph, path: Path | str) -> None:
    """Write a photograph with its bit depth, alpha, colour profile, EXIF and provenance; the suffix decides the format.

    Where the format has its own place for the resolution, the one that EXIF states is written there too. PNG and TIFF
    are lossless. JPEG is written at quality 95 without chroma subsampling, since fine red vessels live in the chroma
    planes. Only a photograph read from DICOM can be written as DICOM, as a new, derived image. Missing folders are
    made. The file appears whole or not at all, so an earlier one survives a failed write.

    Raises:
        ImageWriteError: the format cannot hold the photograph (see `require_format_for`) or its metadata, `path` is
            the DICOM original, pixels or alpha are misshapen or not finite, or the disk refuses.
    """
    path = Path(path)
    encoded = _encode(photograph, path)
    try:
        with write_file_atomically(path) as temporary:
            temporary.write_bytes(encoded)
    except OSError as error:
        raise ImageWriteError(f"{path}: cannot be written ({error.strerror}); check folder and free space") from error


def require_format_for(photograph: Photograph, path: Path) -> None:
    """Check, before any work on a photograph, that the format of `path` can hold it.

    Raises:
        ImageWriteError: the suffix is unknown; its format cannot hold the bit depth, the alpha or the size; or it is
            DICOM and the photograph was not read from DICOM.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageWriteError(f"{path}: unknown suffix {suffix!r}; use one of {', '.join(SUFFIXES)}")
    is_deep, has_alpha = photograph.bit_depth != 8, photograph.alpha is not None
    if suffix in JPEG_SUFFIXES and (is_deep or has_alpha):
        excess = "16 bits a sample" if is_deep else "an alpha channel"
        raise ImageWriteError(f"{path}: JPEG cannot hold {excess}; the name must end in .png or .tif")
    if suffix in JPEG_SUFFIXES and max(photograph.pixels.shape[:2]) > LONGEST_JPEG_SIDE:
        raise ImageWriteError(
            f"{path}: JPEG cannot hold sides above {LONGEST_JPEG_SIDE} pixels; the name must end in .png or .tif"
        )
    if suffix in DICOM_SUFFIXES and photograph.dicom_header is None:
        raise ImageWriteError(
            f"{path}: a DICOM object belongs to a patient's study, and this photograph was read from none; the name "
            "must end in .png or .tif"
        )
    if suffix in DICOM_SUFFIXES and has_alpha:
        raise ImageWriteError(f"{path}: DICOM cannot hold an alpha channel; the name must end in .png or .tif")
    if suffix in TIFF_SUFFIXES and is_deep and has_alpha and photograph.pixels.shape[2] == 1:
        raise ImageWriteError(f"{path}: few programs read 16-bit grey TIFF with alpha; the name must end in .png")


def _encode(photograph: Photograph, path: Path) -> bytes:
    require_format_for(photograph, path)
    suffix = path.suffix.lower()
    samples = _integer_samples(photograph, path)
    if suffix in DICOM_SUFFIXES:
        return encode_dicom(photograph, samples, path)
    xmp = None if photograph.provenance is None else xmp_packet(photograph.provenance)
    if suffix in PNG_SUFFIXES:
        return encode_png(samples, photograph.icc_profile, photograph.exif, xmp)
    if suffix in TIFF_SUFFIXES:
        return encode_tiff(samples, photograph.icc_profile, photograph.exif, xmp)
    buffer = BytesIO()
    try:
        Image.fromarray(samples.squeeze(2) if samples.shape[2] == 1 else samples).save(
            buffer,
            format="JPEG",
            quality=95,
            subsampling="4:4:4",
            icc_profile=photograph.icc_profile,
            exif=photograph.exif or b"",
            xmp=xmp or b"",
            dpi=_jfif_density(photograph.exif),
        )
    except ValueError as error:  # a JPEG segment holds 64 kB; other formats have no such limit
        raise ImageWriteError(f"{path}: JPEG cannot hold its metadata ({error}); write it as .png or .tif") from error
    return buffer.getvalue()


def _jfif_density(exif: bytes | None) -> tuple[int, int]:
    """Whole dots per inch for JFIF's 16-bit fields; zeros if they do not fit or the EXIF block states none."""
    density = tuple(round(it) for it in dots_per_inch(exif) or ())
    return density if len(density) == 2 and max(density) < 2**16 else (0, 0)


def _integer_samples(photograph: Photograph, path: Path) -> np.ndarray:
    """(H, W, N) uint8 or uint16, rounded to nearest; N as in `encode_png`."""
    pixels = photograph.pixels
    if photograph.bit_depth not in (8, 16):
        raise ImageWriteError(f"{path}: bit_depth is {photograph.bit_depth}; files hold 8 or 16 bits a sample")
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
        raise ImageWriteError(f"{path}: pixels have shape {pixels.shape}; expected (height, width, 1 or 3)")
    if photograph.alpha is not None:
        if photograph.alpha.shape != pixels.shape[:2]:
            raise ImageWriteError(f"{path}: alpha has shape {photograph.alpha.shape}, pixels {pixels.shape}")
        pixels = np.concatenate([pixels, photograph.alpha[:, :, None]], axis=2)
    if not np.isfinite(pixels).all():
        raise ImageWriteError(f"{path}: pixels hold NaN or infinite values; find out where they come from")
    largest = 2**photograph.bit_depth - 1
    return np.rint(np.clip(pixels, 0.0, 1.0) * largest).astype(np.uint8 if photograph.bit_depth == 8 else np.uint16)
