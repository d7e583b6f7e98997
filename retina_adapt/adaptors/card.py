"""The adaptor's card: a README.md for people and for the Hub, generated from the metadata alone."""

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from retina_adapt.adaptors.files import AdaptorDescription


def render_card(name: str, *, description: "AdaptorDescription", parameters: int, megabytes: float) -> str:
    """Markdown with a YAML header, as the Hugging Face Hub reads it.

    Args:
        name: of the adaptor's folder.
        parameters: number of trained values.
        megabytes: size of the tensor file.
    """
    metadata = description.metadata
    header = yaml.safe_dump(
        {
            "license": metadata.license.lower(),
            "library_name": "retina_adapt",
            "tags": ["retina", "fundus", "image-enhancement", "adaptor", metadata.degradation],
        },
        sort_keys=False,
    )
    severity = "" if metadata.severity is None else f", severity {metadata.severity[0]:g} to {metadata.severity[1]:g}"
    steps = ", ".join(f"{count} steps of the {stage}" for stage, count in metadata.training_steps.items())
    rows = "\n".join(f"| {key} | {value:.4g} |" for key, value in metadata.metrics.items())
    groups = ", ".join(getattr(description.settings, "hook_groups", []))
    return f"""---
{header}---
# {name}

An enhancement adaptor for retinal photographs: it undoes **{metadata.degradation}**{severity}.

| | |
|---|---|
| kind | {description.kind.value} in {groups} |
| size | {parameters:,} parameters, {megabytes:.2f} MB |
| backbone | {metadata.backbone_name}, fingerprint `{description.backbone_fingerprint}` |
| trained on | {"; ".join(metadata.data_sets)} ({metadata.pairs_seen} photographs) |
| training | {metadata.recipe}; {steps}; seed {metadata.seed} |
| licence | {metadata.license} |

## Use

```
retina-adapt enhance PHOTOS OUT --adaptor {name}
```

```python
from retina_adapt import Enhancer

enhancer = Enhancer.from_pretrained()
enhancer.load_adaptor("{name}")
enhanced = enhancer(photograph)
```

## Measured

{metadata.protocol}

| measure | value |
|---|---|
{rows}

## Intended use and limits

{metadata.intended_use}
"""
