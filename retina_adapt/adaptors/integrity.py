"""What an adaptor's sha256 covers.

It reveals damage and swapped files: changing any bit of a tensor, a setting or the metadata changes it. It does not
prove who wrote the adaptor, since whoever alters one can recompute it; for that, compare the sha256 with one obtained
by another route (`retina-adapt adaptors fetch --sha256`).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON in the canonical form that is hashed: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: a value is NaN or infinite, which JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def content_sha256(content: Mapping[str, Any]) -> str:
    """sha256 (64 hexadecimal digits) of an adaptor's configuration.

    The tensors enter through `tensors_sha256`, their `fingerprint_tensors`, so the configuration can be checked without
    reading a tensor.
    """
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
