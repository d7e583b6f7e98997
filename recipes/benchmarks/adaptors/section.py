"""The section of the document on what each kind of adaptor costs, from the measurements alone."""

from typing import Any

from retina_adapt.markdown import markdown_table


def section(results: dict[str, Any]) -> list[str]:
    """Its paragraphs and table; passes and blocks as ratios to the plain backbone's."""
    plain, settings = results["plain"], results["settings"]
    header = ["kind", "parameters", "file, kB", "attached", "merged", "compiled block", "set_adapter, ms"]
    header += ["hot_swap, ms", "moved, kB", "load, ms"]
    rows = [
        [
            kind,
            f"{costs['parameters']:,}",
            f"{costs['file_bytes'] / 1e3:,.0f}",
            _ratio(costs["attached"], plain["pass"]),
            _ratio(costs["merged"], plain["pass"]),
            _ratio(costs["compiled"], plain["compiled_block"]),
            f"{costs['set_adapter']:.2f}",
            f"{costs['hot_swap']:.2f}",
            f"{costs['hot_swap_bytes'] / 1e3:,.0f}",
            f"{costs['load']:.0f}",
        ]
        for kind, costs in results["kinds"].items()
    ]
    block = "" if plain["compiled_block"] is None else f", its block compiled {plain['compiled_block']:.2f} ms"
    return [
        "## What each kind of adaptor costs",
        "```sh\npython recipes/benchmark.py adaptors\n```",
        f"On `{settings['backbone']}`, {settings['device']}, {settings['threads']} thread(s), each kind with its "
        "default settings in all hook groups. A pass is encoding, one denoiser call and decoding; ratios are to the "
        f"plain backbone's, {plain['pass']:.1f} ms a pass{block}. Times are medians, all kinds taking turns; on one "
        f"thread of a CPU they are processor time. Torch {results['torch']}.",
        markdown_table(header, rows, text_columns=1),
    ]


def _ratio(taken: float | None, plain: float | None) -> str:
    return "" if taken is None or plain is None else f"{taken / plain:.2f}x"
