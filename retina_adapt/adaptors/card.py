"""The adaptor's card: a README.md for people and for the Hub, generated from its description and size."""

import json
import re
import shlex
from typing import Any

import yaml

from retina_adapt.adaptors.description import AdaptorDescription
from retina_adapt.adaptors.metadata import AdaptorMetadata
from retina_adapt.markdown import markdown_table

# The licences in use for weights that the Hub knows by their SPDX identifiers.
_HUB_LICENSES = {
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "mit",
    "mpl-2.0",
    "unlicense",
}


def render_card(description: AdaptorDescription, *, parameters: int, tensor_bytes: int) -> str:
    """Markdown with a YAML header, as the Hugging Face Hub reads it.

    Args:
        parameters: number of trained values.
        tensor_bytes: size of the tensor file.
    """
    metadata = description.metadata
    severity = "" if metadata.severity is None else f", severity {metadata.severity[0]:g} to {metadata.severity[1]:g}"
    steps = ", ".join(f"{count} steps of the {stage}" for stage, count in metadata.training_steps.items())
    seed = "" if metadata.seed is None else f"seed {metadata.seed}"
    facts = {
        "kind": f"{description.kind} in {', '.join(description.settings.hook_groups)}",
        "size": f"{parameters:,} parameters, {tensor_bytes / 1e6:.2f} MB",
        "backbone": f"{metadata.backbone_name}, fingerprint `{description.backbone_fingerprint}`",
        "training": "; ".join(part for part in (metadata.recipe, steps, seed) if part),
        "licence": metadata.license,
        "sha256": f"`{description.sha256}`",
    }
    backbone = shlex.quote(_line(metadata.backbone_name))
    credits = "\n".join(f"- {_line(data_set)}" for data_set in metadata.data_sets)
    return f"""---
{_hub_header(metadata)}---
# {metadata.name}

An enhancement adaptor for retinal photographs: it undoes **{_line(metadata.degradation)}**{severity}.

{markdown_table(["", ""], facts.items())}

## Use

With `retina-adapt` installed and this adaptor in the folder `{metadata.name}`:

```sh
retina-adapt adaptors verify {metadata.name}
retina-adapt enhance photographs enhanced --adaptor {metadata.name} --backbone {backbone}
```

```python
from PIL import Image

from retina_adapt import Enhancer

enhancer = Enhancer.from_pretrained({json.dumps(metadata.backbone_name)})
enhancer.load_adaptor({json.dumps(metadata.name)})
enhanced = enhancer(Image.open("photograph.png"))
```

It fits the backbone of the fingerprint above and no other.

## Measured

{_measured(metadata)}

## Data and credits

Trained on {"" if metadata.pairs_seen is None else f"{metadata.pairs_seen} "}photographs or pairs of:

{credits}

## Intended use and limits

{metadata.intended_use.strip()}
"""


def _hub_header(metadata: AdaptorMetadata) -> str:
    license_ = metadata.license.lower()
    header: dict[str, Any] = (
        {"license": license_} if license_ in _HUB_LICENSES else {"license": "other", "license_name": license_}
    )
    tags = ["retina", "fundus", "image-enhancement", "adaptor"]
    # A preset's name makes a tag; a description of real pairs does not.
    if re.fullmatch(r"[a-z0-9_-]+", metadata.degradation):
        tags.append(metadata.degradation)
    header |= {"library_name": "retina_adapt", "pipeline_tag": "image-to-image", "tags": tags}
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _measured(metadata: AdaptorMetadata) -> str:
    pairs = metadata.metric_pairs()
    if not pairs:
        return "Nothing was measured when this adaptor was trained."
    rows: list[list[str]] = []
    for name, (before, after) in pairs.items():
        shown = ("not measured", "") if before is None else (f"{before:.4g}", f"{after - before:+.3g}")
        rows.append([name, shown[0], f"{after:.4g}", shown[1]])
    return f"{markdown_table(['measure', 'degraded', 'enhanced', 'change'], rows)}\n\n{metadata.protocol}"


def _line(text: str) -> str:
    return " ".join(text.split())
