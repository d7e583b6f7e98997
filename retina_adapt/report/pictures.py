"""Maps as pictures for a browser: coloured, compressed, and as `data:` addresses."""

import base64
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from retina_adapt.report.maps import VesselOverlay

CHANGE_SCALE = 0.3
"""The change, as a share of the full range, from which the change map has its strongest colours."""

UNCERTAINTY_SCALE = 0.05
"""The standard deviation, as a share of the full range, from which the uncertainty map has its strongest colour."""

# Evenly spaced stops of colour ramps, RGB. No change and no uncertainty are as dark as the page. Blue against orange,
# and rising lightness, can be told apart with every kind of colour blindness.
CHANGE_COLORS = ((150, 205, 255), (35, 110, 200), (20, 24, 30), (205, 105, 25), (255, 220, 150))
UNCERTAINTY_COLORS = ((20, 24, 30), (85, 45, 130), (195, 60, 110), (250, 150, 70), (255, 240, 175))

# Okabe and Ito's palette for all kinds of colour blindness.
VESSEL_COLORS = {"kept": (225, 230, 235), "new": (86, 180, 233), "untraced": (240, 228, 66), "lost": (230, 95, 0)}

_JPEG_QUALITY = 86


def change_picture(change: np.ndarray) -> np.ndarray:
    """A change map as uint8 (H, W, 3): blue where it became darker, orange where brighter, dark elsewhere."""
    return _colored(0.5 + 0.5 * change / CHANGE_SCALE, CHANGE_COLORS)


def uncertainty_picture(uncertainty: np.ndarray) -> np.ndarray:
    """An uncertainty map as uint8 (H, W, 3), from dark (all versions agree) to pale yellow."""
    return _colored(uncertainty / UNCERTAINTY_SCALE, UNCERTAINTY_COLORS)


def vessel_picture(vessels: VesselOverlay) -> np.ndarray:
    """A transparent layer, RGBA, uint8 (H, W, 4), with each vessel in the colour of what became of it."""
    picture = np.zeros((*vessels.kept.shape, 4), dtype=np.uint8)
    for name, color in VESSEL_COLORS.items():
        picture[getattr(vessels, name)] = (*color, 255)
    return picture


def shown_picture(pixels: np.ndarray, longest_side: int) -> np.ndarray:
    """A photograph (H, W, C) in [0, 1] as uint8 (H, W, 3), scaled down to `longest_side` if it is larger."""
    scale = min(1.0, longest_side / max(pixels.shape[:2]))
    picture: np.ndarray = pixels.astype(np.float32)
    if scale < 1:
        size = (max(1, round(scale * pixels.shape[1])), max(1, round(scale * pixels.shape[0])))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], pixels.shape[2])
    samples = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.repeat(samples, 3, axis=2) if samples.shape[2] == 1 else samples


def data_address(picture: np.ndarray) -> str:
    """The `data:` address of a uint8 picture: JPEG for (H, W, 3), PNG for (H, W, 4)."""
    buffer = BytesIO()
    image = Image.fromarray(picture)
    if picture.shape[2] == 4:
        # A palette is enough for five colours.
        image.quantize(8, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def style_gradient(colors: tuple[tuple[int, int, int], ...]) -> str:
    """A colour ramp in CSS, from left to right."""
    return f"linear-gradient(90deg, {', '.join(style_color(color) for color in colors)})"


def style_color(color: tuple[int, int, int]) -> str:
    """A colour in CSS."""
    return "#" + bytes(color).hex()


def _colored(values: np.ndarray, colors: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    places = np.linspace(0, 1, len(colors))
    channels = [np.interp(values, places, [color[channel] for color in colors]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=2)).astype(np.uint8)
