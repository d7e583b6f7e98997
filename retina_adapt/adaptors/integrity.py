"""What a sha256 of an adaptor is taken over.

It finds damage and swapped files: any bit of a tensor, a setting or the metadata changes it. It does not say who wrote
the adaptor, since whoever alters one can compute it anew; for that, compare it with one that came by another way
(`retina-adapt adaptors fetch --sha256`).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON in the one form that is hashed: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: for NaN and infinity, which JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def content_sha256(content: Mapping[str, Any]) -> str:
    """sha256 (64 hexadecimal digits) of an adaptor's configuration.

    The tensors take part through the entry `tensors_sha256`, which is `fingerprint_tensors` of them; so that the
    configuration can be checked without reading a tensor.
    """
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
