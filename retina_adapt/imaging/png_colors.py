"""Turn a PNG file's `gAMA` and `cHRM` chunks into a colour profile, which every format can hold.

PNG specification, 3rd edition, 11.3.2; profiles of three primaries and a gamma: ICC.1:2001-04, 6.3.1.2. The white point
is adapted to D50, that of profiles, by the Bradford transform (ibid., annex E).
"""

import struct

import numpy as np
from PIL import Image

_SRGB_GAMMA = 1 / 2.2
# x and y of white, red, green and blue.
_SRGB_CHROMATICITY = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
# Programs round them, some to hundredths.
_ROUNDING = 0.01
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_HEADER_BYTES, _ENTRY_BYTES = 128, 12


def profile_of_chunks(image: Image.Image) -> bytes | None:
    """Make a profile of the colours that the chunks of an RGB image state.

    None if they state no colours, sRGB's or impossible ones, or if there is a chunk that outranks them.
    """
    stated = image.info.keys()
    if image.format != "PNG" or "icc_profile" in stated or "srgb" in stated or not {"gamma", "chromaticity"} & stated:
        return None
    gamma = float(image.info.get("gamma", _SRGB_GAMMA))
    chromaticity = image.info.get("chromaticity", _SRGB_CHROMATICITY)
    if np.allclose((gamma, *chromaticity), (_SRGB_GAMMA, *_SRGB_CHROMATICITY), rtol=0, atol=_ROUNDING):
        return None
    white, *primaries = ((x, y) for x, y in zip(chromaticity[::2], chromaticity[1::2], strict=True))
    if not 0.01 <= gamma <= 100 or min(y for _, y in (white, *primaries)) <= 0:
        return None
    try:
        return _profile(1 / gamma, _colorants(white, primaries))
    except (np.linalg.LinAlgError, struct.error):
        # Impossible primaries: they lie in line, or their numbers do not fit into a profile.
        return None


def _colorants(white: tuple[float, float], primaries: list[tuple[float, float]]) -> np.ndarray:
    """XYZ of red, green and blue as columns (3, 3), adapted to D50 white."""
    white_xyz = _xyz(*white)
    directions = np.stack([_xyz(*primary) for primary in primaries], axis=1)
    columns = directions * np.linalg.solve(directions, white_xyz)
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white_xyz)
    return np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD) @ columns


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _profile(power: float, colorants: np.ndarray) -> bytes:
    name = f"PNG gAMA {1 / power:.2f}, cHRM".encode()
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(power * 256))
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz_tag(_D50),
        **{kind: _xyz_tag(column) for kind, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants.T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    start = _HEADER_BYTES + 4 + _ENTRY_BYTES * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for kind, tag in tags.items():
        table += kind + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI", start + len(content), 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", *_fixed(_D50))
    return header + bytes(_HEADER_BYTES - len(header)) + table + content


def _xyz_tag(numbers: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *_fixed(numbers))


def _fixed(numbers: np.ndarray) -> list[int]:
    """As s15Fixed16Number."""
    return [round(2**16 * float(number)) for number in numbers]
