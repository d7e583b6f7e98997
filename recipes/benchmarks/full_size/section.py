"""The section of the document on photographs of a camera's size, from the measurements alone."""

import statistics
from typing import Any

from benchmarks.full_size.measuring import DETAILS
from retina_adapt.markdown import markdown_table

Row = dict[str, Any]


def section(measurements: dict[str, Any]) -> list[str]:
    """Its paragraphs and tables."""
    rows = measurements["rows"]
    photographs = list(dict.fromkeys(row["photograph"] for row in rows))
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    return [
        "```sh\npython recipes/benchmark.py full_size\n```",
        f"The photographs {', '.join(f'`{name}`' for name in photographs)} at the size that the camera wrote, degraded "
        f"by presets at that size (seeds {', '.join(map(str, seeds))}) and enhanced with the embedded adaptors; means "
        "over the field of view at full size. *Resized* is the network's own picture of the whole eye, enlarged. "
        "*Fine* is the PSNR of what is finer than the network's frame alone; the rest is the error in light and "
        f"colour. `tiles` works at {measurements['working_size']} px.",
        _quality(rows),
        "Seconds of one CPU core, medians; `seams` is the roughness of the change across the borders of tiles over "
        "that elsewhere (1 is none):",
        _costs(rows),
        "What enhancing takes besides the photograph and the result themselves, both float32, for the same eye at "
        "several sizes, in MB:",
        _memory(measurements["memory"]),
        "Reading a file of such a photograph takes "
        + "; ".join(
            f"{times['read']:.2f} s, writing it {times['write']:.2f} s ({suffix})"
            for suffix, times in measurements["files"].items()
        )
        + ".",
    ]


def _shown(method: str) -> str:
    return f"`{method}`" if method in DETAILS else method


def _quality(rows: list[Row]) -> str:
    cells = []
    for preset in dict.fromkeys(row["preset"] for row in rows):
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [row for row in rows if (row["preset"], row["method"]) == (preset, method)]
            psnr, fine, ssim = (statistics.mean(row[name] for row in own) for name in ("psnr", "fine_psnr", "ssim"))
            cells.append([preset, _shown(method), f"{psnr:.2f}", f"{fine:.2f}", f"{ssim:.3f}"])
    return markdown_table(["preset", "method", "PSNR (dB)", "fine PSNR (dB)", "SSIM"], cells, text_columns=2)


def _costs(rows: list[Row]) -> str:
    cells = []
    for detail in DETAILS:
        own = [row for row in rows if row["method"] == detail]
        stages = [statistics.median(row[stage] for row in own) for stage in ("prepare", "network", "apply")]
        seams = [row["seams"] for row in own if row["seams"] is not None]
        cells.append([_shown(detail), *(f"{stage:.2f}" for stage in stages), f"{max(seams):.2f}" if seams else "–"])
    header = ["`--detail`", "find the eye, make copies", "network", "apply at full size", "seams"]
    return markdown_table(header, cells, text_columns=1)


def _memory(rows: list[Row]) -> str:
    cells = []
    for width in dict.fromkeys(row["width"] for row in rows):
        own = {row["detail"]: row for row in rows if row["width"] == width}
        first = own[DETAILS[0]]
        besides = [f"{own[detail]['besides']:.0f}" for detail in DETAILS]
        cells.append([f"{width}x{first['height']} px", f"{first['both']:.0f}", *besides])
    return markdown_table(["photograph", "photograph and result", *map(_shown, DETAILS)], cells, text_columns=1)
