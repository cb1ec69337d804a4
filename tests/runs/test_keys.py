"""Keys: what they are made of, and that those of stores which lie on disks stay as they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from recorded_keys import CONFIGS, keys_of

RECORDED = json.loads(Path(__file__).with_name("recorded_keys.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGS)
def test_keys_are_those_on_record(name: str) -> None:
    """A key that changes makes users do again what they have: raise a rule where the output changes, and mark an entry
    that is added to a table (config.ADDED). No entry of the record is ever changed, only added."""
    found = keys_of(CONFIGS[name])
    digests = {what: key if len(key) == 64 else hashlib.sha256(key.encode()).hexdigest() for what, key in found.items()}
    assert digests == RECORDED[name]
