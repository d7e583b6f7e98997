"""The section of the document on what a training step costs, from the measurements alone."""

from typing import Any

from retina_adapt.markdown import markdown_table

MEGABYTE = 1e6


def section(results: dict[str, Any]) -> list[str]:
    """Its paragraphs and table; times are also given as multiples of the first arm's."""
    settings, arms = results["settings"], results["arms"]
    header = ["arm", "checkpointing", "trainable parameters", "gradients, MB", "optimiser state, MB"]
    header += ["peak memory, MB", "a step, s", "to the first", "10^9 operations"]
    rows = [
        [
            arm["arm"],
            "yes" if arm["checkpointing"] else "no",
            f"{arm['trainable_parameters']:,}",
            f"{arm['gradients'] / MEGABYTE:.2f}",
            f"{arm['optimizer_state'] / MEGABYTE:.2f}",
            f"{arm['peak'] / MEGABYTE:.0f}",
            f"{arm['seconds']:.2f}",
            f"{arm['seconds'] / arms[0]['seconds']:.2f}x",
            f"{arm['floating_point_operations'] / 1e9:.0f}",
        ]
        for arm in arms
    ]
    return [
        "## What a training step costs",
        "```sh\npython recipes/benchmark.py training\n```",
        f"The backbone `{settings['backbone']}`, {settings['batch_size']} pairs a step, {settings['device']}, "
        f"{settings['threads']} thread(s), the recipe's own losses. The adaptor has the size of the embedded ones; "
        f"LoRA has rank {settings['lora_rank']}, for about as many parameters. Peak memory is the high-water mark of a "
        "process of the arm's own, above what Python and the libraries hold. Times are medians, the arms taking "
        "turns; on one thread of a CPU they are processor time; ratios are to the first row. Operations are counted by "
        f"torch's `FlopCounterMode`. Torch {results['torch']}.",
        markdown_table(header, rows, text_columns=2),
    ]
