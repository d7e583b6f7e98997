"""Read photographs: JPEG, PNG and TIFF of 8 or 16 bits, and DICOM."""

import struct
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from retina_adapt.imaging.dicom import decode_dicom, is_bare_dicom, is_dicom
from retina_adapt.imaging.photograph import ImageReadError, Photograph
from retina_adapt.imaging.png_colors import profile_of_chunks
from retina_adapt.imaging.provenance import provenance_of_xmp
from retina_adapt.imaging.resolution import note_resolution

# Pillow warns of every photograph above 90 megapixels, although it reads them, which would fill logs. The filter is set
# here, since `warnings.catch_warnings` is not thread-safe, and behind all others, so that a program's own come first.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, module=r"PIL\.Image", append=True)

_ORIENTATION_TAG, _PLANES_TAG, _EXTRA_SAMPLES_TAG = 274, 284, 338
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# A TIFF file's directory mixes how its samples are stored with what they show. Only the latter survives a change of
# format: description, maker, model, resolution, software, date, artist, copyright, EXIF and GPS directories.
_DESCRIPTIVE_TAGS = {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, 0x8769, 0x8825}
# What Pillow and OpenCV raise on damaged files, found by decoding files with random bytes changed.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, cv2.error)


def read_photograph(path: Path | str) -> Photograph:
    """Read a JPEG, PNG or TIFF photograph of 8 or 16 bits, grey or RGB, with or without alpha or palette; or DICOM.

    CMYK is read only from JPEG files in Adobe's convention without a colour profile: there R = (1 - C) (1 - K), and so
    on, undoes the conversion from RGB. With a profile the colours depend on a printing press, and the file is refused.
    Damaged EXIF is left out.

    Raises:
        ImageReadError: the file is missing, empty, truncated, not an image, or too large (Pillow's limit against
            decompression bombs), or holds several pictures or samples that are no 8- or 16-bit grey or RGB values.
    """
    path = Path(path)
    return replace(decode_photograph(read_encoded(path), str(path)), source=path)


def read_encoded(path: Path) -> bytes:
    """Read the bytes of a photograph's file.

    Raises:
        ImageReadError: it is missing or cannot be opened.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageReadError(f"{path}: there is no such file; check the path") from None
    except OSError as error:
        raise ImageReadError(f"{path}: cannot be opened ({error.strerror}); give a readable image file") from error


def decode_photograph(encoded: bytes, name: str) -> Photograph:
    """Decode the bytes of a photograph's file; formats and errors as for `read_photograph`.

    Args:
        encoded: the file's bytes.
        name: what error messages call it.
    """
    if not encoded:
        raise ImageReadError(f"{name}: the file is empty; copy it again from its source")
    if is_dicom(encoded):
        return decode_dicom(encoded, name)
    try:
        image = Image.open(BytesIO(encoded), formats=("JPEG", "PNG", "TIFF"))
        bit_depth = _bit_depth(image, encoded, name)
        # Pillow decodes 16-bit files too, although their samples come from OpenCV: it alone reports all damage.
        image.load()
        samples = _samples_8bit(image) if bit_depth == 8 else _samples_16bit(image, encoded, name)
        # After loading, since Pillow and OpenCV turn TIFF pictures upright themselves and Pillow then drops the tag.
        samples = _turn_upright(samples, _orientation(image))
    except Image.DecompressionBombError as error:
        raise ImageReadError(f"{name}: too large ({error}); cut the picture to the eye or scale it down") from error
    except UnidentifiedImageError as error:
        if encoded.startswith(_TIFF_SIGNATURES):
            raise ImageReadError(
                f"{name}: a TIFF of a kind that is not read (floating-point colours, for instance), or damaged; save "
                "it with 8 or 16 unsigned bits a sample, grey or RGB"
            ) from error
        if is_bare_dicom(encoded):
            raise ImageReadError(
                f"{name}: looks like a DICOM object without the beginning of a DICOM file (128 bytes and 'DICM'); "
                "export it as a DICOM file"
            ) from error
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
        icc_profile=image.info.get("icc_profile") or (profile_of_chunks(image) if color_count == 3 else None),
        exif=_exif(image),
        provenance=provenance_of_xmp(image.info.get("xmp")),
    )


def _bit_depth(image: Image.Image, encoded: bytes, name: str) -> int:
    """8 or 16, from the file's header: Pillow's mode is "RGB" for both."""
    # MPO, which some handheld cameras write, is a JPEG followed by further pictures: the first is the photograph.
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":
        raise ImageReadError(f"{name}: holds {pictures} pictures; save the one you mean as a file of its own")
    # Pillow takes every CMYK JPEG for one of Adobe's, which store ink inverted; only those with Adobe's marker are.
    is_plain_cmyk = image.format == "JPEG" and "adobe" in image.info and "icc_profile" not in image.info
    if image.mode == "CMYK" and not is_plain_cmyk:
        raise ImageReadError(
            f"{name}: colours are stored as CMYK, whose meaning depends on a printing profile; convert it to RGB in "
            "the program that made it"
        )
    if image.mode == "LAB":
        raise ImageReadError(f"{name}: colours are stored as CIELAB, which is not read; convert it to RGB")
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
    if bits == {16} and image.tag_v2.get(_PLANES_TAG) == 2 and len(image.getbands()) > 1:
        # OpenCV would take the planes for rows of pixels.
        raise ImageReadError(
            f"{name}: holds 16-bit colours plane by plane, which is not read; save it with the colours of a pixel "
            "side by side (PlanarConfiguration 1), or as a 16-bit PNG"
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
    if isinstance(image, TiffImageFile) and 1 in image.tag_v2.get(_EXTRA_SAMPLES_TAG, ()):
        samples = _without_alpha_in_colors(samples)
    return samples[:, :, 2:] if is_grey else samples


def _without_alpha_in_colors(samples: np.ndarray) -> np.ndarray:
    """Undo the multiplication of colours by ("associated") alpha in (H, W, 4) uint16 samples."""
    colors, alpha = samples[:, :, :3].astype(np.float64), samples[:, :, 3:]
    divided = np.divide(65535 * colors, alpha, out=np.zeros_like(colors), where=alpha > 0)
    return np.concatenate([divided.round().clip(0, 65535).astype(np.uint16), alpha], axis=2)


def _turn_upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the camera's rotation and mirroring as given by EXIF orientation 1 to 8 (EXIF 2.32, tag 274)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1, upright, if EXIF states none or is damaged."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # whatever Pillow raises for damaged metadata
        return 1
    return orientation if isinstance(orientation, int) else 1


def _exif(image: Image.Image) -> bytes | None:
    """EXIF with resolution, without orientation; None if it is empty, or damaged, which does not spoil the picture."""
    try:
        tags = image.getexif()
        for tag in list(tags):
            if tag == _ORIENTATION_TAG or (image.format == "TIFF" and tag not in _DESCRIPTIVE_TAGS):
                del tags[tag]
        note_resolution(tags, image)
        # An EXIF block is a small TIFF file, never a BigTIFF.
        tags.bigtiff = False
        return tags.tobytes() if len(tags) else None
    except Exception:  # whatever Pillow raises for values of unexpected types
        return None
