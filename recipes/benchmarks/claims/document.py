"""The section of the results document, generated from the results alone."""

from benchmarks.claims.plan import ClaimsConfig, Rows


def write_document(config: ClaimsConfig, questions: dict[str, Rows], gathered: dict[str, dict]) -> None:
    """Replace what stands between the claims' marks of the document, or add it at the end; draw the plots."""
