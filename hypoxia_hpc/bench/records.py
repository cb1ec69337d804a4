"""Figures as they are kept: one JSON line each, appended to a history file.

A line has no time, host, user, path or slide: the order of the lines is that of the runs. Lines are data: what is read
back is checked, and nothing of it is run.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError

from hypoxia_hpc.bench.environment import Environment
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.bench.scaling_records import ScalingRecord
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.reading import read_plain
from hypoxia_hpc.stores.commit import machine_errors, make_folder, making

# Some 1.5 KB a line: the figures of ten thousand runs.
MOST_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Record:
    """One figure. ``rate`` in ``unit`` a second and its interval, ``share`` of the rate of the ``bound``, which is
    ``bound_rate``; ``peers``: how many times as fast as each, ``answers``: how the answer of each compares,
    ``left_out``: why others were not timed; ``rounds``: repeats; ``caches``: whether files were in
    the page cache; ``busy``, ``core_seconds``, ``gpu_seconds`` and ``joules`` as of a Measurement, None or empty in
    lines of before they were measured, ``joules`` also where no counter could be read."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema: Literal[1]
    case: str
    topic: str
    unit: str
    rate: Spread
    share: Spread
    bound: str
    bound_rate: float
    peers: dict[str, Spread]
    rounds: int
    caches: Literal["warm", "cold"]
    busy: float
    environment: Environment
    core_seconds: float | None = None
    gpu_seconds: float | None = None
    joules: dict[str, float] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def _kind(line: Any) -> str:
    """Which kind of line it is: lines of figures say none."""
    return "scaling" if isinstance(line, dict) and line.get("kind") == "scaling" else "figure"


_LINE: TypeAdapter[Record | ScalingRecord] = TypeAdapter(
    Annotated[Annotated[Record, Tag("figure")] | Annotated[ScalingRecord, Tag("scaling")], Discriminator(_kind)]
)


def record_of(one: Measurement, where: Environment) -> Record | None:
    """The line of a measurement; None where nothing was measured."""
    if one.rate is None or one.share is None:
        return None
    return Record(
        schema=1,
        case=one.case.name,
        topic=one.case.topic,
        unit=one.case.unit,
        rate=one.rate,
        share=one.share,
        bound=one.case.bound,
        bound_rate=one.bound_rate,
        peers=dict(one.peers),
        rounds=one.rounds,
        caches="warm",
        busy=one.busy,
        environment=where,
        core_seconds=None if math.isnan(one.core_seconds) else one.core_seconds,
        gpu_seconds=one.gpu_seconds,
        joules=dict(one.joules),
        answers=dict(one.how),
        left_out={name: found.why for name, found in one.left_out.items()},
    )


def default_history(environment: Mapping[str, str] = os.environ) -> Path:
    """Where figures are kept unless it is said."""
    return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "hypoxia_hpc" / "bench.jsonl"


def append_records(path: Path, records: Iterable[Record | ScalingRecord]) -> None:
    """Append a line for each, all of them in one write. Raises MachineError."""
    lines = "".join(json.dumps(asdict(record), separators=(",", ":"), allow_nan=False) + "\n" for record in records)
    with machine_errors(path):
        make_folder(path.parent)
        with making(path), path.open("ab", buffering=0) as file:
            file.write(lines.encode())
            os.fsync(file.fileno())


def read_records(path: Path) -> list[Record | ScalingRecord]:
    """The lines of a history file, the oldest first. Raises InputError for lines that are no records, MachineError."""
    if not path.exists():
        raise InputError(f"{path} does not exist", remedy="hypoxia-hpc bench makes it, or name another --history")
    with machine_errors(path):
        lines = read_plain(path, MOST_BYTES).decode("utf-8", errors="replace").splitlines()
    records: list[Record | ScalingRecord] = []
    bad = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(_LINE.validate_json(line, strict=True))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            bad.append(f"line {number}: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}")
    if bad:
        raise InputError(
            f"{path} holds lines that are no figures of bench",
            offending=bad,
            remedy="delete these lines, or name another --history",
        )
    return records
