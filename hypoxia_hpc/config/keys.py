"""Keys: SHA-256 of canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def stage_key(stage: str, rule: int, table: Mapping[str, Any], inputs: object) -> str:
    """SHA-256 (hex) of the canonical JSON of stage, rule version, that stage's table in full, keys of its inputs."""
    text = canonical_json({"stage": stage, "rule": rule, "table": table, "inputs": inputs})
    return hashlib.sha256(text.encode()).hexdigest()
