"""What ``sacctmgr`` says of the accounts of a user, for whoever needs it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

from hypoxia_hpc.machine.programs import query_program

FIELDS = "Account,Partition,MaxSubmit,DefaultQOS,QOS"


@dataclass(frozen=True, slots=True)
class Association:
    """An account of the user, with the qualities of service that it may use and the one that it has by default (""
    where none is named), and how many jobs it may have in the queue at once (None: no limit)."""

    account: str
    most_jobs: int | None
    default_qos: str
    qos: tuple[str, ...]


def query_associations() -> tuple[Association, ...]:
    """Those of this user; none where sacctmgr is not here or does not answer."""
    shown = ("sacctmgr", "--noheader", "--parsable2", "show")
    answer, _ = query_program(*shown, "assoc", f"user={getpass.getuser()}", f"format={FIELDS}")
    return parse_associations(answer or "")


def parse_associations(text: str) -> tuple[Association, ...]:
    """The lines of ``sacctmgr show assoc`` with `FIELDS`; others are left out."""
    rows = [row for row in (line.strip().split("|") for line in text.splitlines()) if len(row) == 5]
    return tuple(
        Association(account, int(most) if most.isdecimal() else None, default, tuple(filter(None, qos.split(","))))
        for account, _, most, default, qos in rows
    )
