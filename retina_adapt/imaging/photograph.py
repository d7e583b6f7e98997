"""Read and write photographs without losing what the camera recorded.

Pixels are float32 in [0, 1], upright, RGB or grey; bit depth, alpha, colour profile and EXIF travel along, so
that a photograph which is read and written again in a lossless format keeps every sample bit for bit.
"""

import struct
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from retina_adapt.atomic_files import write_file_atomically
from retina_adapt.errors import RetinaAdaptError
from retina_adapt.imaging.lossless_formats import encode_png, encode_tiff
from retina_adapt.imaging.provenance import Provenance, provenance_of_xmp, xmp_packet

_JPEG_SUFFIXES = (".jpg", ".jpeg")
_PNG_SUFFIXES = (".png",)
_TIFF_SUFFIXES = (".tif", ".tiff")
_DICOM_SUFFIXES = (".dcm", ".dicom")
_SUFFIXES = _JPEG_SUFFIXES + _PNG_SUFFIXES + _TIFF_SUFFIXES + _DICOM_SUFFIXES

_ORIENTATION_TAG = 274
# A TIFF file's directory mixes how its samples are stored with what they show; only the latter survives a
# change of format: description, maker, model, resolution, software, date, artist, copyright, EXIF and GPS
# directories.
_DESCRIPTIVE_TAGS = {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, 0x8769, 0x8825}
# What Pillow and OpenCV raise at damaged files, found by decoding files with random bytes changed.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, cv2.error)


class ImageReadError(RetinaAdaptError):
    """A photograph cannot be read; the message names the file, the reason and the remedy."""


class ImageWriteError(RetinaAdaptError):
    """A photograph cannot be written; the file that was there before, if any, is untouched."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """One photograph, upright.

    Attributes:
        pixels: float32 (H, W, 3) RGB or (H, W, 1) grey, in [0, 1]: the stored integer over 255 or 65535.
        bit_depth: bits a sample in the file, 8 or 16.
        alpha: opacity, float32 (H, W) in [0, 1]; None where the file has none.
        icc_profile: embedded colour profile. Pixels are in its colour space, not converted.
        exif: EXIF block without its orientation tag, which `pixels` already obey.
        source: file that it was read from; None where it was decoded from bytes.
        provenance: what made an enhanced image; None for a camera's own.
        dicom_header: of a photograph read from DICOM, what the object says of patient, study and camera.
    """

    pixels: np.ndarray
    bit_depth: int = 8
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    source: Path | None = None
    provenance: Provenance | None = None
    dicom_header: bytes | None = None


def read_photograph(path: Path | str) -> Photograph:
    """Read a JPEG, PNG or TIFF photograph of 8 or 16 bits, grey or RGB, with or without alpha or palette; or DICOM.

    CMYK is read from JPEG files that programs of Adobe's convention wrote without a colour profile: there
    R = (1 - C) (1 - K), and so on, undoes how RGB was converted. With a profile the colours mean what a
    printing press makes of them, and the file is refused. EXIF that is damaged is left out.

    Raises:
        ImageReadError: the file is missing, empty, truncated, not an image, too large to be one (Pillow's
            limit against decompression bombs), or holds samples that are no 8- or 16-bit grey or RGB values.
    """
    path = Path(path)
    try:
        encoded = path.read_bytes()
    except FileNotFoundError:
        raise ImageReadError(f"{path}: there is no such file; check the path") from None
    except OSError as error:
        raise ImageReadError(f"{path}: cannot be opened ({error.strerror}); give a readable image file") from error
    return replace(decode_photograph(encoded, str(path)), source=path)


def decode_photograph(encoded: bytes, name: str) -> Photograph:
    """Decode what a photograph's file holds; formats and errors as for `read_photograph`.

    Args:
        encoded: the file's bytes.
        name: what error messages call it.
    """
    if not encoded:
        raise ImageReadError(f"{name}: the file is empty; copy it again from its source")
    # Here, since pydicom is an extra and `dicom.py` builds on this file.
    from retina_adapt.imaging.dicom import decode_dicom, is_dicom

    if is_dicom(encoded):
        return decode_dicom(encoded, name)
    try:
        image = Image.open(BytesIO(encoded), formats=("JPEG", "PNG", "TIFF"))
        bit_depth = _bit_depth(image, encoded, name)
        # Pillow decodes 16-bit files too, although OpenCV delivers their samples: it alone reports every
        # damage.
        image.load()
        samples = _samples_8bit(image) if bit_depth == 8 else _samples_16bit(image, encoded, name)
        # After loading, since Pillow and OpenCV turn TIFF pictures upright themselves and Pillow then drops
        # the tag.
        samples = _turn_upright(samples, _orientation(image))
    except Image.DecompressionBombError as error:
        raise ImageReadError(f"{name}: too large ({error}); cut the picture to the eye or scale it down") from error
    except UnidentifiedImageError as error:
        raise ImageReadError(f"{name}: not a JPEG, PNG or TIFF image; convert it to one of these") from error
    except _DECODING_ERRORS as error:
        raise ImageReadError(
            f"{name}: the image is truncated or damaged ({error}); copy it again from its source"
        ) from error

    scaled = samples.astype(np.float32) / np.float32(2**bit_depth - 1)
    color_count = 3 if samples.shape[2] >= 3 else 1
    return Photograph(
        pixels=np.ascontiguousarray(scaled[:, :, :color_count]),
        bit_depth=bit_depth,
        alpha=scaled[:, :, color_count].copy() if samples.shape[2] > color_count else None,
        icc_profile=image.info.get("icc_profile"),
        exif=_exif(image),
        provenance=provenance_of_xmp(image.info.get("xmp")),
    )


def write_photograph(photograph: Photograph, path: Path | str) -> None:
    """Write a photograph with its bit depth, alpha, colour profile, EXIF and provenance; the suffix decides the format.

    PNG and TIFF are lossless. JPEG is written at quality 95 without chroma subsampling, since fine red
    vessels live in the chroma planes. DICOM is written of what was read from DICOM, as a new, derived image.
    Missing folders are made. The file appears whole or not at all, so a file that was there before survives a
    failed write.

    Raises:
        ImageWriteError: the suffix is unknown or cannot hold the bit depth or alpha, pixels are misshapen or
            not finite, or the disk refuses.
    """
    path = Path(path)
    encoded = _encode(photograph, path)
    try:
        with write_file_atomically(path) as temporary:
            temporary.write_bytes(encoded)
    except OSError as error:
        raise ImageWriteError(f"{path}: cannot be written ({error.strerror}); check folder and free space") from error


def require_format_for(photograph: Photograph, path: Path) -> None:
    """Check, before anything is made of a photograph, that the format of a name can hold it.

    Raises:
        ImageWriteError: the suffix is unknown, or its format cannot hold the bit depth or alpha.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ImageWriteError(f"{path}: unknown suffix {suffix!r}; use one of {', '.join(_SUFFIXES)}")
    is_deep, has_alpha = photograph.bit_depth != 8, photograph.alpha is not None
    if suffix in _JPEG_SUFFIXES and (is_deep or has_alpha):
        excess = "16 bits a sample" if is_deep else "an alpha channel"
        raise ImageWriteError(f"{path}: JPEG cannot hold {excess}; the name must end in .png or .tif")
    if suffix in _TIFF_SUFFIXES and is_deep and has_alpha and photograph.pixels.shape[2] == 1:
        raise ImageWriteError(f"{path}: few programs read 16-bit grey TIFF with alpha; the name must end in .png")


def find_photographs(folder_or_file: Path | str) -> list[Path]:
    """All photographs in a folder and its subfolders, by suffix and sorted; a file stands for itself.

    Hidden files and folders are left out: they hold previews, partial files and the trash of other programs.

    Raises:
        ImageReadError: the path does not exist or holds no photograph.
    """
    root = Path(folder_or_file)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise ImageReadError(f"{root}: there is no such file or folder; check the path")
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in _SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )
    if not found:
        raise ImageReadError(f"{root}: no photograph in this folder; expected files ending in {', '.join(_SUFFIXES)}")
    return found


def _bit_depth(image: Image.Image, encoded: bytes, name: str) -> int:
    """8 or 16, from the file's header: Pillow's mode is "RGB" for both."""
    # MPO is a JPEG with further pictures behind it, as some handheld cameras write: the first is the
    # photograph.
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":
        raise ImageReadError(f"{name}: holds {pictures} pictures; save the one you mean as a file of its own")
    # Pillow takes every CMYK JPEG for one of Adobe's, which store ink inverted; only those with its marker are.
    is_plain_cmyk = image.format == "JPEG" and "adobe" in image.info and "icc_profile" not in image.info
    if image.mode == "LAB" or (image.mode == "CMYK" and not is_plain_cmyk):
        raise ImageReadError(
            f"{name}: colours are stored as {image.mode}, whose meaning depends on a printing profile; "
            "convert it to RGB in the program that made it"
        )
    if image.format == "PNG":
        return 16 if encoded[24] == 16 else 8  # IHDR is the first chunk; lower depths are widened to 8 by Pillow
    if not isinstance(image, TiffImageFile):
        return 8
    bits = set(image.tag_v2.get(258, (1,)))
    sample_format = set(image.tag_v2.get(339, (1,)))
    if sample_format != {1} or not (bits == {16} or bits <= {1, 2, 4, 8}):
        kind = "floating-point" if 3 in sample_format else "signed" if 2 in sample_format else "unsigned"
        raise ImageReadError(
            f"{name}: samples are {kind} numbers of {sorted(bits)} bits; save it with 8 or 16 unsigned bits a sample"
        )
    return 16 if bits == {16} else 8


def _samples_8bit(image: Image.Image) -> np.ndarray:
    """(H, W, N) uint8 of a loaded image; N as in `encode_png`."""
    has_alpha = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")
    is_grey = image.mode in ("1", "L", "LA")
    target = ("LA" if has_alpha else "L") if is_grey else ("RGBA" if has_alpha else "RGB")
    samples = np.asarray(image.convert(target))
    return samples.reshape(*samples.shape[:2], -1)


def _samples_16bit(image: Image.Image, encoded: bytes, name: str) -> np.ndarray:
    """(H, W, N) uint16; N as in `encode_png`."""
    samples = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16:
        raise ImageReadError(f"{name}: this kind of 16-bit file cannot be decoded; save it as a 16-bit PNG")
    if isinstance(image, TiffImageFile) and image.tag_v2.get(262) == 0:  # 0 is white; OpenCV leaves that to us
        samples = 65535 - samples
    if samples.ndim == 2:
        return samples[:, :, None]
    if samples.shape[2] == 3:
        return cv2.cvtColor(samples, cv2.COLOR_BGR2RGB)
    is_grey = image.format == "PNG" and encoded[25] == 4  # OpenCV widens PNG's grey + alpha to four channels
    samples = cv2.cvtColor(samples, cv2.COLOR_BGRA2RGBA)
    return samples[:, :, 2:] if is_grey else samples


def _turn_upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the camera's rotation and mirroring as told by EXIF orientation 1 to 8 (EXIF 2.32, tag 274)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _orientation(image: Image.Image) -> int:
    """From 1 to 8; 1, upright, where EXIF does not say or is damaged."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # whatever Pillow raises for damaged metadata
        return 1
    return orientation if isinstance(orientation, int) else 1


def _exif(image: Image.Image) -> bytes | None:
    """EXIF without orientation; None where there is none, or where it is damaged, which spoils no picture."""
    try:
        tags = image.getexif()
        for tag in list(tags):
            if tag == _ORIENTATION_TAG or (image.format == "TIFF" and tag not in _DESCRIPTIVE_TAGS):
                del tags[tag]
        return tags.tobytes() if len(tags) else None
    except Exception:  # whatever Pillow raises for values of unexpected types
        return None


def _encode(photograph: Photograph, path: Path) -> bytes:
    require_format_for(photograph, path)
    suffix = path.suffix.lower()
    samples = _integer_samples(photograph, path)
    if suffix in _DICOM_SUFFIXES:
        from retina_adapt.imaging.dicom_derivation import encode_dicom

        return encode_dicom(photograph, samples, path)
    xmp = None if photograph.provenance is None else xmp_packet(photograph.provenance)
    if suffix in _PNG_SUFFIXES:
        return encode_png(samples, photograph.icc_profile, photograph.exif, xmp)
    if suffix in _TIFF_SUFFIXES:
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
        )
    except ValueError as error:  # a segment of JPEG holds 64 kB; other formats have no such limit
        raise ImageWriteError(f"{path}: JPEG cannot hold its metadata ({error}); write it as .png or .tif") from error
    return buffer.getvalue()


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
