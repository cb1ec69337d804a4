"""Receipts: what became of each slide (or model) in each stage; the only files that hold times, hosts and seconds."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hypoxia_hpc.records import Json, Receipt
from hypoxia_hpc.stores.commit import committed_file

_RECEIPT = TypeAdapter(Receipt)


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Commit ``folder/<slide_id>.json``, with this host and the time of now."""
    stamped = replace(receipt, host=platform.node(), finished=datetime.now(UTC).isoformat(timespec="seconds"))
    text = json.dumps(asdict(stamped), indent=1, sort_keys=True)
    committed_file(folder / f"{receipt.slide_id}.json", text.encode())


def read_receipt(folder: Path, slide_id: str) -> Receipt | None:
    """The receipt of a slide, or None where there is none or it is damaged: the store itself tells what is done."""
    try:
        receipt = _RECEIPT.validate_json((folder / f"{slide_id}.json").read_bytes(), strict=True)
    except (FileNotFoundError, ValidationError):
        return None
    return receipt if receipt.slide_id == slide_id else None


@contextmanager
def timed_receipt(folder: Path, name: str, key: str, extra: Json | None = None) -> Iterator[None]:
    """Write a ``done`` receipt with the seconds of the block, when it ends well."""
    started = time.perf_counter()
    yield
    write_receipt(folder, Receipt(name, "done", key, seconds=time.perf_counter() - started, extra=extra or {}))
