"""Draw a plausible fundus photograph, for demonstrations and tests on machines that have no real one.

The picture is built as light would build it: a lit, pigmented background, multiplied by what the macula and
the blood absorb (Beer-Lambert: intensity times exp(-density)), seen through the round aperture of a camera
with a little blur and noise. It is no substitute for photographs in training: it knows nothing of disease or of
the variety of real anatomy.
"""

import cv2
import numpy as np

from retina_adapt.imaging.vessel_tree import Landmarks, Vessel, grow_vessels

_SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4  # OpenCV draws polygons with corners in sixteenths of a pixel
_FIELD_RADIUS = 0.48  # of the picture's side
_WIDTH_OF_FULL_DENSITY = 0.022  # in radii of the field of view: the width of a main vein
_FAINTEST_IN_MASK = 0.27  # of a main vein's density: about the faintest that human observers outline

# Colours and absorptions are (red, green, blue).
_PIGMENTS = np.array([[0.88, 0.33, 0.17], [0.90, 0.48, 0.26], [0.76, 0.27, 0.13], [0.60, 0.30, 0.13]])
_DISC_COLOR = np.array([0.98, 0.76, 0.46])
_CUP_COLOR = np.array([1.0, 0.91, 0.70])
_ARTERY_ABSORPTION = np.array([0.16, 0.62, 0.62])
_VEIN_ABSORPTION = np.array([0.34, 0.95, 0.95])
_MACULA_ABSORPTION = np.array([0.22, 0.40, 0.42])


def draw_fundus(seed: int, size: int = 512) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one eye.

    Args:
        seed: decides everything: left or right eye, pigment, vessels, noise. The same seed and size give the
            same bits.
        size: height and width in pixels.

    Returns:
        pixels: float32 (size, size, 3), RGB in [0, 1].
        vessel_mask: bool (size, size), True on arteries and veins that are at least about a pixel wide.
        field_of_view_mask: bool (size, size), True inside the camera's round aperture.
    """
    random = np.random.default_rng(seed)
    is_left_eye = bool(random.integers(2))
    landmarks = _place_landmarks(random)
    vessels = grow_vessels(random, landmarks)

    radius = _FIELD_RADIUS * size
    steps = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / radius
    x, y = np.meshgrid(steps, steps)
    if is_left_eye:
        x = -x  # every eye is drawn as a right one: for a left one only the canvas is mirrored
    veins = _draw_vessels([vessel for vessel in vessels if not vessel.is_artery], size, is_left_eye)
    arteries = _draw_vessels([vessel for vessel in vessels if vessel.is_artery], size, is_left_eye)
    reflexes = _draw_vessels(vessels, size, is_left_eye, share_of_width=0.28)

    color = _background(random, x, y, landmarks)
    color = _add_disc(random, color, x, y, landmarks)
    density = _macula(random, x, y, landmarks)
    density += veins[:, :, None] * _VEIN_ABSORPTION + arteries[:, :, None] * _ARTERY_ABSORPTION
    density += _capillaries(random, x, y, landmarks)[:, :, None] * _ARTERY_ABSORPTION
    pixels = color * np.exp(-density, dtype=np.float32)
    pixels += (0.055 * cv2.GaussianBlur(reflexes, (0, 0), size / 700))[:, :, None] * np.array(
        [1.0, 0.75, 0.55], np.float32
    )
    pixels *= _illumination(random, x, y)[:, :, None]
    pixels = _photograph(random, pixels, np.hypot(x, y), radius)
    field_of_view_mask = np.hypot(x, y) <= 1.0
    vessel_mask = (np.maximum(veins, arteries) > _FAINTEST_IN_MASK) & field_of_view_mask
    return pixels, vessel_mask, field_of_view_mask


def _place_landmarks(random: np.random.Generator) -> Landmarks:
    """Place disc and fovea: most photographs are centred on the macula, some on the disc or between the two."""
    gaze = random.choice([0.0, -0.25, -0.62], p=[0.6, 0.25, 0.15]) + random.normal(0.0, 0.03)
    fovea = (float(gaze), float(random.normal(0.02, 0.03)))
    disc = (fovea[0] + float(random.normal(0.66, 0.025)), fovea[1] - float(random.normal(0.06, 0.025)))
    return Landmarks(disc=disc, fovea=fovea, disc_radius=float(random.uniform(0.105, 0.13)))


def _draw_vessels(vessels: list[Vessel], size: int, is_left_eye: bool, share_of_width: float = 1.0) -> np.ndarray:
    """Opacity of vessels, float32 (size, size) in [0, 1], antialiased.

    A vessel thinner than a drawn pixel keeps that pixel's width and becomes fainter instead.
    """
    side = size * _SUPERSAMPLING
    canvas = np.zeros((side, side), dtype=np.uint8)
    unit = _FIELD_RADIUS * side
    for vessel in sorted(vessels, key=lambda vessel: vessel.widths[0]):
        points = vessel.points * ((-unit, unit) if is_left_eye else (unit, unit)) + (side - 1) / 2
        widths = share_of_width * vessel.widths * unit
        tangents = np.gradient(points, axis=0)
        normals = tangents[:, ::-1] * (-1.0, 1.0) / np.linalg.norm(tangents, axis=1, keepdims=True)
        offsets = 0.5 * np.maximum(widths, 1.0)[:, None] * normals
        # Light crosses a thin vessel on a shorter path, so it absorbs less.
        density = np.clip(np.sqrt(vessel.widths / _WIDTH_OF_FULL_DENSITY), 0.0, 1.0) * np.clip(widths, 0.3, 1.0)
        opacity = np.rint(255 * density).astype(int)
        left, right = points + offsets, points - offsets
        corners = np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)
        corners = np.rint(corners * 2**_SUBPIXEL_BITS).astype(np.int32)
        for corner, value in zip(corners, opacity[:-1].tolist(), strict=True):
            cv2.fillConvexPoly(canvas, corner, value, cv2.LINE_AA, _SUBPIXEL_BITS)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _background(random: np.random.Generator, x: np.ndarray, y: np.ndarray, landmarks: Landmarks) -> np.ndarray:
    """Pigmented background with choroidal texture and the faint stripes of the nerve fibres; (H, W, 3)."""
    size = len(x)
    pigment = _PIGMENTS.T @ random.dirichlet(np.full(len(_PIGMENTS), 0.5))
    pigment = pigment * random.normal(1.0, (0.04, 0.08, 0.12))

    clouds = _noise(random, size, 4) + 0.6 * _noise(random, size, 11)
    mottling = _noise(random, size, 26) + 0.8 * _noise(random, size, 48)
    grain = _noise(random, size, 70) + _noise(random, size, 150)

    disc_x, disc_y = landmarks.disc
    distance = np.hypot(x - disc_x, y - disc_y)
    stripes = _radial_stripes(random, x - disc_x, y - disc_y)
    fibres = np.exp(-((distance / 0.45) ** 2)) * (1.0 + 0.6 * stripes)

    # Red varies least: it comes from deep layers and is scattered most.
    color = 1.0 + clouds[:, :, None] * np.array([0.028, 0.065, 0.070], np.float32)
    color += (random.uniform(0.006, 0.021) * mottling)[:, :, None] * np.array([1.0, 1.9, 1.7], np.float32)
    color += (0.006 * grain)[:, :, None] * np.array([0.7, 1.2, 1.3], np.float32)
    color += (0.07 * fibres)[:, :, None] * np.array([0.3, 1.0, 1.0], np.float32)
    return (color * pigment).astype(np.float32)


def _noise(random: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise of about unit variance, float32 (size, size), with `cells` bumps along a side."""
    grid = random.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    return cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)


def _radial_stripes(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Noise that changes quickly with the angle around the origin and slowly along the ray."""
    table = random.standard_normal((4, 180)).astype(np.float32)
    column = (np.arctan2(y, x) / (2 * np.pi) % 1.0) * (table.shape[1] - 1)
    row = np.clip(np.hypot(x, y) * 2.0, 0, table.shape[0] - 1)
    return cv2.remap(table, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)


def _add_disc(
    random: np.random.Generator, color: np.ndarray, x: np.ndarray, y: np.ndarray, landmarks: Landmarks
) -> np.ndarray:
    """Optic disc, slightly taller than wide, its cup and the paler ring around it."""
    from_disc_x, from_disc_y = x - landmarks.disc[0], y - landmarks.disc[1]
    wobble = 0.025 * _noise(random, len(x), 12)
    rim = np.hypot(from_disc_x / 0.92, from_disc_y) / landmarks.disc_radius + wobble
    cup_size = random.uniform(0.3, 0.5)
    cup = np.hypot(from_disc_x / landmarks.disc_radius + 0.12, from_disc_y / landmarks.disc_radius) / cup_size + wobble

    inside_disc = _soft_step(1.0 - rim, 0.10)[:, :, None]
    inside_cup = _soft_step(1.0 - cup, 0.28)[:, :, None]
    halo = (0.10 * np.exp(-((np.maximum(rim - 1.0, 0.0) / 0.35) ** 2)))[:, :, None]
    # The temporal part of the rim has fewer nerve fibres and is paler than the nasal one.
    paleness = 1.0 - 0.10 * np.clip(from_disc_x / landmarks.disc_radius, -1.0, 1.0)[:, :, None]
    disc_color = _DISC_COLOR * paleness * (0.82 + 0.18 * color.mean() / 0.45)
    disc_color = disc_color + inside_cup * (_CUP_COLOR - disc_color) * random.uniform(0.6, 0.95)
    color = color * (1.0 + halo)
    return (color + inside_disc * 0.92 * (disc_color - color)).astype(np.float32)


def _soft_step(value: np.ndarray, width: float) -> np.ndarray:
    """0 for negative, 1 for positive values, smooth over about `width` on both sides."""
    return 1.0 / (1.0 + np.exp(np.clip(-3.0 * value / width, -30, 30)))


def _macula(random: np.random.Generator, x: np.ndarray, y: np.ndarray, landmarks: Landmarks) -> np.ndarray:
    """Absorption by the macula's pigment, densest in the fovea; (H, W, 3)."""
    distance = np.hypot(x - landmarks.fovea[0], y - landmarks.fovea[1])
    density = random.uniform(0.6, 1.0) * np.exp(-((distance / 0.24) ** 2))
    density += random.uniform(0.4, 0.8) * np.exp(-((distance / 0.08) ** 2))
    return (density[:, :, None] * _MACULA_ABSORPTION).astype(np.float32)


def _capillaries(random: np.random.Generator, x: np.ndarray, y: np.ndarray, landmarks: Landmarks) -> np.ndarray:
    """Density of a net too fine to follow: zero crossings of noise, absent from the foveal zone."""
    fine, coarse = _noise(random, len(x), 42), _noise(random, len(x), 8)
    net = np.exp(-((fine / 0.10) ** 2)) * np.clip(0.5 + coarse, 0.0, 1.0)
    distance = np.hypot(x - landmarks.fovea[0], y - landmarks.fovea[1])
    return 0.10 * net * _soft_step(distance - 0.13, 0.06) * _soft_step(0.95 - distance, 0.3)


def _illumination(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Brightness of the flash over the field: a gentle vignette around a point near the centre."""
    center_x, center_y = random.normal(0.0, 0.12, 2)
    squared = (x - center_x) ** 2 + (y - center_y) ** 2
    vignette = 1.0 - random.uniform(0.12, 0.34) * squared - 0.06 * squared**2
    return (random.uniform(0.85, 1.02) * np.clip(vignette, 0.25, None)).astype(np.float32)


def _photograph(random: np.random.Generator, pixels: np.ndarray, distance: np.ndarray, radius: float) -> np.ndarray:
    """What the camera adds: blur, the aperture's antialiased edge, a nearly black surround, noise."""
    size = len(pixels)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.55 * max(size / 512, 0.6))
    aperture = np.clip((1.0 - distance) * radius + 0.5, 0.0, 1.0)[:, :, None]
    pixels = aperture * pixels + (1.0 - aperture) * 0.008
    noise = random.standard_normal((size, size, 3), dtype=np.float32)
    pixels = pixels + noise * (0.003 + 0.008 * np.sqrt(np.clip(pixels, 0.0, None)))
    return np.clip(pixels, 0.0, 1.0).astype(np.float32)
