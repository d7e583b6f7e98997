"""Results that a benchmark keeps as JSON, and the section of a document that is written from them alone."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks._marked_section import write_marked_section
from retina_adapt.atomic_files import write_file_atomically


class DocumentedConfig(Protocol):
    """What the configuration of such a benchmark has.

    Attributes:
        results: JSON file for the results.
        document: Markdown file whose section between the marks of this benchmark is written anew.
        only_document: measure nothing; write the document from the results there are.
    """

    results: str
    document: str
    only_document: bool


def document_results(
    name: str,
    config: DocumentedConfig,
    measure: Callable[[], dict[str, Any]],
    section: Callable[[dict[str, Any]], Sequence[str]],
) -> None:
    """Measure and write the results, unless told not to; write their section, and print it.

    Args:
        name: of the benchmark.
        config: where to write.
        measure: the results, as JSON can hold them.
        section: paragraphs, headings and tables, from the results.
    """
    path = Path(config.results)
    if not config.only_document:
        text = json.dumps(measure(), indent=1) + "\n"
        with write_file_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    parts = section(json.loads(path.read_text(encoding="utf-8")))
    write_marked_section(config.document, name, parts)
    print("\n\n".join(parts))
