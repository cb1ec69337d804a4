"""Receipts: what became of each slide, model or cohort in each stage; the only files that hold times, hosts, seconds.

On disk the name of whatever a receipt is of stands under ``slide_id``, and its details under ``extra``.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from hypoxia_hpc.reading import read_counts
from hypoxia_hpc.records import Details, ExtractWork, Json, ModelsUsed, Receipt, SlideSource, TileWork
from hypoxia_hpc.stores.attributes import fitting
from hypoxia_hpc.stores.commit import committed_file

Of = Literal["slide", "model", "cohort"]
COHORT = "cohort"  # the name of a receipt of the whole cohort
_RECEIPT = TypeAdapter(Receipt)
# An entry of ``extra`` that only this kind of details has.
_KINDS: Mapping[str, type[Details]] = {
    "counts": TileWork,
    "device": ExtractWork,
    "fingerprint": SlideSource,
    "model_run": ModelsUsed,
}


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Commit ``folder/<name>.json``, with this host and the present time."""
    stamped = replace(receipt, host=platform.node(), finished=datetime.now(UTC).isoformat(timespec="seconds"))
    text = json.dumps(receipt_json(stamped), indent=1, sort_keys=True)
    committed_file(folder / f"{receipt.name}.json", text.encode())


def read_receipt(folder: Path, name: str, of: Of = "slide") -> Receipt | None:
    """The receipt of a slide, model or cohort, or None where there is none or it is damaged: what was made says itself
    that it is done."""
    try:
        receipt = receipt_of(read_counts(folder / f"{name}.json"), of)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return receipt if receipt.name == name else None


def receipt_json(receipt: Receipt) -> Json:
    """A receipt as it is on disk, in messages and in ``status --json``."""
    held = asdict(receipt)
    del held["of"]
    details = held.pop("details") or {}
    extra = {name: value for name, value in details.items() if value not in (None, "", (), {})}
    return {"slide_id": held.pop("name"), **held, "extra": extra}


def receipt_of(document: object, of: Of = "slide") -> Receipt:
    """The receipt in a JSON document; details of another type than they have are left out. Raises ValueError where it
    is no receipt."""
    if not isinstance(document, dict) or not isinstance(document.get("extra", {}), dict):
        raise ValueError("a receipt is an object, and so is its extra")
    named = {"name": document.get("slide_id"), "of": of, "details": _details(document.get("extra", {}))}
    return _RECEIPT.validate_python({**document, **named})


def _details(extra: Json) -> Details | None:
    kind = next((kind for entry, kind in _KINDS.items() if entry in extra), None)
    return None if kind is None else fitting(kind, extra)


def keep_receipt(folder: Path, key: str) -> None:
    """The receipt of a result of the cohort that is there: written where a kill came between the two, with no time."""
    receipt = read_receipt(folder, COHORT, "cohort")
    if receipt is None or receipt.key != key:
        write_receipt(folder, Receipt(COHORT, "done", key, of="cohort"))


@contextmanager
def timed_receipt(folder: Path, key: str, details: Details | None = None) -> Iterator[None]:
    """Write a ``done`` receipt of the cohort with the seconds of the block, when it ends well."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    write_receipt(folder, Receipt(COHORT, "done", key, seconds=seconds, details=details, of="cohort"))
