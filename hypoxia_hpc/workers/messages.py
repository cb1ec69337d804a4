"""What ranks say to each other, as values. On the way each is a JSON object with its kind and its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.records import Json, Receipt
from hypoxia_hpc.runs.receipts import receipt_json, receipt_of


@dataclass(frozen=True, slots=True)
class WorkerFree:
    """To rank 0: a worker of this rank has room for a slide."""


@dataclass(frozen=True, slots=True)
class Processed:
    """To rank 0: a slide is over. ``fresh``: something was done now; ``bug``: it met a bug of this suite."""

    receipt: Receipt
    fresh: bool
    bug: bool = False


@dataclass(frozen=True, slots=True)
class GivenBack:
    """To rank 0: a slide that was dealt is not begun, because the rank stops."""

    slide_id: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """To rank 0: the number of tiles done since the last such message."""

    tiles: int


@dataclass(frozen=True, slots=True)
class StopRequested:
    """To rank 0: a signal asked this rank to stop."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """From rank 0: a slide to process."""

    slide_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """From rank 0: no slide is in work any more; ``left`` slides of the whole share are still to do."""

    left: int


ToRoot = WorkerFree | Processed | GivenBack | Ticked | StopRequested
FromRoot = Dealt | Ended
_KINDS: Mapping[str, type[ToRoot | FromRoot]] = {
    kind.__name__: kind for kind in (WorkerFree, Processed, GivenBack, Ticked, StopRequested, Dealt, Ended)
}


def encode(message: ToRoot | FromRoot) -> str:
    """The text of a message."""
    fields = asdict(message)
    if isinstance(message, Processed):
        fields["receipt"] = receipt_json(message.receipt)
    return json.dumps({"kind": type(message).__name__, **fields})


def decode(text: str, rank: int) -> ToRoot | FromRoot:
    """The message in a text from a rank. Raises MachineError where it is none."""
    try:
        fields: Json = json.loads(text)
        kind = _KINDS[fields.pop("kind")]
        if kind is Processed:
            fields["receipt"] = receipt_of(fields["receipt"])
        return kind(**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unknown_message(text, rank) from None


def unknown_message(message: object, rank: int) -> MachineError:
    """The error for a message that this rank does not expect from that one."""
    return MachineError(
        f"rank {rank} sent {str(message)[:200]!r}, which is no message for this rank",
        remedy="start all ranks from the same installation (or image) of hypoxia-hpc; nothing is lost, run it again",
    )
