"""Figures as they are kept: one JSON line each, appended to a history file.

A line has no time, host, user, path or slide: the order of the lines is that of the runs. Lines are data: what is read
back is checked, and nothing of it is run.
"""

from __future__ import annotations

import codecs
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BufferedWriter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError

from hypoxia_hpc.bench.environment import Environment
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.bench.plausible import flaws
from hypoxia_hpc.bench.scaling_records import ScalingRecord
from hypoxia_hpc.errors import InputError, some, some_names
from hypoxia_hpc.reading import MOST_SHOWN, open_plain, read_plain
from hypoxia_hpc.stores.commit import machine_errors, make_folder, making

# Some 1.5 KB a line: the figures of ten thousand runs.
MOST_BYTES = 2**28
_BLANK = codecs.BOM_UTF8 + b" \t\r"


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


class History(NamedTuple):
    """What a file holds: ``records``, the oldest first; numbers of the lines that cannot be read, and why."""

    records: list[Record | ScalingRecord]
    left_out: list[tuple[int, str]]


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
    """Append a line for each, all of them in one write; behind a last line that was cut off, on a line of its own.
    Raises InputError where it is no plain file, MachineError."""
    lines = "".join(json.dumps(asdict(record), separators=(",", ":"), allow_nan=False) + "\n" for record in records)
    with _appending(path) as file:
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())


def require_history(path: Path) -> None:
    """Try whether lines can be appended; the file is made where it is not there. Raises as :func:`append_records`, and
    InputError where it has something in it and no line is a figure: it is another file."""
    if path.is_file():
        found = _lines_of(path)
        if found.left_out and not found.records:
            raise _no_figure(path, found)
    with _appending(path):
        pass


def require_apart(history: Path, output: Path) -> None:
    """Raises InputError where what is to be written would take the place of the history."""
    if output.resolve() == history.resolve() or (output.exists() and history.exists() and output.samefile(history)):
        raise InputError(
            f"{output} is the history of figures, which would be lost", remedy="name another file for what is written"
        )


@contextmanager
def _appending(path: Path) -> Iterator[BufferedWriter]:
    with machine_errors(path):
        make_folder(path.parent)
        is_cut = path.exists() and _is_cut(path)
        with making(path), path.open("ab") as file:
            if is_cut:
                file.write(b"\n")
            yield file


def _is_cut(path: Path) -> bool:
    """Whether the last line has no end: its process was killed, or the disk was full."""
    with open_plain(path, MOST_BYTES) as file:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, n_bytes - 1))
        return file.read(1) not in (b"", b"\n")


def read_history(path: Path) -> History:
    """The lines of a history file that can be read, the oldest first, and which cannot. Empty lines are none. Raises
    InputError where there is no figure in it, MachineError."""
    if not path.exists():
        raise InputError(f"{path} does not exist", remedy="hypoxia-hpc bench makes it, or name another --history")
    found = _lines_of(path)
    if found.records:
        return found
    if found.left_out:
        raise _no_figure(path, found)
    raise InputError(f"{path} is empty", remedy="hypoxia-hpc bench appends figures to it")


def _lines_of(path: Path) -> History:
    with machine_errors(path):
        lines = read_plain(path, MOST_BYTES).split(b"\n")
    found = [(number, _record_or_why(line)) for number, line in enumerate(lines, 1) if line.strip(_BLANK)]
    records = [one for _, one in found if not isinstance(one, str)]
    return History(records, [(number, why) for number, why in found if isinstance(why, str)])


def _no_figure(path: Path, found: History) -> InputError:
    bad = [f"line {number}: {why}" for number, why in found.left_out]
    return InputError(f"{path} has no line that can be read", offending=bad, remedy="name another --history")


def left_out_lines(left_out: Sequence[tuple[int, str]]) -> list[str]:
    """A sentence for each reason: ``2 lines that cannot be read (lines 3, 7): cut off``."""
    reasons = dict.fromkeys(why for _, why in left_out)
    numbers = {why: [str(number) for number, other in left_out if other == why] for why in reasons}
    return [
        f"{some(len(of), 'line')} that cannot be read (line{'s' * (len(of) > 1)} {some_names(of)}): {why}"
        for why, of in numbers.items()
    ]


def _record_or_why(line: bytes) -> Record | ScalingRecord | str:
    """The record, or why the line is none."""
    try:
        record = _LINE.validate_json(line.removeprefix(codecs.BOM_UTF8), strict=True)
    except ValidationError as error:
        return _why_not(error)
    return next(flaws(asdict(record)), record)


def _why_not(error: ValidationError) -> str:
    """In words: the first thing that is wrong, unless anything says that the line is of a later version."""
    every = error.errors(include_url=False)
    if any(_is_newer(one["type"], one["loc"], one["input"]) for one in every):
        return "written by a newer hypoxia_hpc"
    first = every[0]
    name = ".".join(map(str, first["loc"][1:]))[:MOST_SHOWN]
    if first["type"] == "json_invalid":
        return "cut off" if str(first["ctx"]["error"]).startswith("EOF") else "no JSON"
    if first["type"] == "missing":
        return f"it has no {name}"
    return f"{name} is not what bench writes there" if name else "no figure of bench"


def _is_newer(kind: str, place: tuple[int | str, ...], given: object) -> bool:
    """Whether it is about an entry that is not known here, or about the number of the schema, which only grows."""
    is_later = place[1:] == ("schema",) and isinstance(given, int) and given > 1
    return is_later or kind in ("extra_forbidden", "unexpected_keyword_argument")
