"""The section of the document on how fast enhancement is, from the measurements alone."""

from typing import Any

from benchmarks.enhance.measuring import ATTACHED, FAST, MANY_STEPS, MERGED, PLAIN, REFERENCE
from retina_adapt.markdown import markdown_table

Row = dict[str, Any]

FEW_STEPS, LARGEST_LOSS = 4, 0.1
LEAST_SPEED_UP = 10
LARGEST_COST_MERGED, LARGEST_COST_ATTACHED = 1.05, 1.1


def section(results: dict[str, Any]) -> list[str]:
    """Its paragraphs and tables."""
    settings = results["settings"]
    parts = [
        "## How fast enhancement is",
        "```sh\npython recipes/benchmark.py enhance\n```",
        f"`{settings['backbone']}` with the adaptor `{settings['adaptor']}`, {settings['device']}, "
        f"{settings['threads']} thread(s); medians of {settings['repetitions']}, all cases of a comparison taking "
        f"turns; on one thread of a CPU they are processor time. Torch {results['torch']}.",
    ]
    if results["sampling"]:
        parts += [
            f"{settings['photographs']} validation photographs, degraded by `{settings['degradation']}`:",
            _sampling(results["sampling"]),
        ]
    parts += [
        "Each comparison against its first line; frames of the backbone's size, batch 1:",
        _frames(results["frames"]),
        _targets(results),
        _floor(results["floor"]),
    ]
    return parts


def _sampling(rows: list[Row]) -> str:
    return markdown_table(
        ["mode", "scheduler", "steps", "PSNR (dB)", f"to {REFERENCE[2]} steps of DDIM (dB)"],
        (
            [
                row["mode"],
                row["scheduler"],
                str(row["steps"] or ""),
                f"{row['psnr']:.3f}",
                f"{row['to_reference']:+.3f}",
            ]
            for row in rows
        ),
        text_columns=2,
    )


def _frames(rows: list[Row]) -> str:
    return markdown_table(
        ["measured", "compared with", "seconds", "ratio"],
        ([row["measured"], row["to"], f"{row['seconds']:.3f}", f"{row['ratio']:.3f}"] for row in rows),
        text_columns=2,
    )


def _targets(results: dict[str, Any]) -> str:
    ratios = {row["measured"]: row["ratio"] for row in results["frames"]}
    seconds = {row["measured"]: row["seconds"] for row in results["frames"]}
    rows: list[list[str]] = []

    def judge(target: str, found: str, met: bool) -> None:
        rows.append([target, found, "met" if met else "**missed**"])

    few = [row for row in results["sampling"] if 0 < row["steps"] <= FEW_STEPS]
    if few:
        best = max(few, key=lambda row: row["to_reference"])
        judge(
            f"at most {FEW_STEPS} steps within {LARGEST_LOSS} dB of {REFERENCE[2]} of DDIM",
            f"{best['to_reference']:+.3f} dB with {best['steps']} of {best['scheduler']}",
            best["to_reference"] >= -LARGEST_LOSS,
        )
    if MANY_STEPS in ratios:
        judge(
            f"`fast` at least {LEAST_SPEED_UP} times as fast as {REFERENCE[2]} steps",
            f"{seconds[MANY_STEPS] / seconds[FAST]:.0f} times",
            seconds[MANY_STEPS] / seconds[FAST] >= LEAST_SPEED_UP,
        )
    for name, target, most in (
        (MERGED, "merged adaptors add nothing that repeats do not differ by, 5 %", LARGEST_COST_MERGED),
        (ATTACHED, "attached adaptors add at most 10 %", LARGEST_COST_ATTACHED),
    ):
        judge(target, f"{ratios[name]:.2f} times {PLAIN}", ratios[name] <= most)
    return markdown_table(["target", "found", ""], rows)


def _floor(found: Row) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in found["shares"].items())
    times_floor = found["measured"] / found["floor"]
    return (
        f"An adapted pass has {found['operations'] / 1e9:.2f} x 10^9 operations and takes {found['measured']:.3f} s. "
        f"As one large matrix product they would take {found['floor']:.3f} s, at {found['rate'] / 1e9:.0f} x 10^9 a "
        f"second: the pass takes {times_floor:.2f} times as long. Where its time goes: {shares}."
    )
