"""The router's card: a README.md generated from its settings and metadata."""

import yaml

from retina_adapt.markdown import markdown_table
from retina_adapt.routing.faults import NEGLIGIBLE_SEVERITY
from retina_adapt.routing.settings import RouterMetadata, RouterSettings


def render_card(settings: RouterSettings, metadata: RouterMetadata, *, parameters: int) -> str:
    """Markdown with a YAML header, as the Hugging Face Hub expects; `parameters` is the number of trained values."""
    facts = {
        "classes": ", ".join(settings.classes),
        "adaptors": ", ".join(f"{fault}: `{adaptor}`" for fault, adaptor in settings.adaptors.items()),
        "rule": f"no adaptor where the probability of clear is at least {settings.clear_threshold:.4f}; "
        "else that of the likeliest fault",
        "size": f"{parameters:,} parameters, {4 * parameters / 1e6:.2f} MB; frames of {settings.image_size} px",
        "trained on": f"{metadata.photographs_seen} clear photographs, degraded by {', '.join(metadata.presets)} at "
        f"severities {metadata.severity[0]:g} to {metadata.severity[-1]:g}; "
        f"up to {NEGLIGIBLE_SEVERITY:g} counts as clear",
        "training": f"{metadata.recipe}; {metadata.training_steps} steps, seed {metadata.seed}",
        "licence": metadata.license,
    }
    measured = ([name, f"{value:.3f}"] for name, value in metadata.metrics.items())
    credits = "\n".join(f"- {data_set}" for data_set in metadata.data_sets)
    license_line = yaml.safe_dump({"license": metadata.license.lower()}).strip()
    return f"""---
{license_line}
library_name: retina_adapt
pipeline_tag: image-classification
tags: [retina, fundus, image-quality]
---
# router

Tells which fault a retinal photograph has and how severe it is, and so which enhancement adaptor it needs, if any.

{markdown_table(["", ""], facts.items())}

## Use

```sh
retina-adapt enhance photographs enhanced --adaptor auto
```

## Measured

{markdown_table(["validation", ""], measured)}

{metadata.protocol}

## Data and credits

{credits}

## Intended use and limits

{metadata.intended_use.strip()}
"""
