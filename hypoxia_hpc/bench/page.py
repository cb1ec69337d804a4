"""The figures of a history file as one HTML page: machine by machine, the newest of each case, and over commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hypoxia_hpc.bench.costs import HEADER, PAID, READ_AS, SCALE, cost_cells
from hypoxia_hpc.bench.environment import gpu_figures_missing
from hypoxia_hpc.bench.measuring import Spread
from hypoxia_hpc.bench.records import Record
from hypoxia_hpc.bench.scaling_records import ScalingRecord, parts_of
from hypoxia_hpc.errors import some
from hypoxia_hpc.reports.plots import Drawn, Frame, Line, Reference, forest_plot, line_plot, series_of
from hypoxia_hpc.reports.rendering import code, digest, environment

Machine = tuple[str, int, float, tuple[str, ...], str, str]
# Of lines in one plot: the palette has as many colours.
MOST_LINES = 8
COMMIT_LETTERS = 12
BY = {"workers": "workers", "ranks": "ranks", "tasks": "array elements"}
# Of the page's colours, those of the parts of a curve's time; neighbours differ most.
COLOURS = {
    "start, end": 4, "around slides": 7, "read": 5, "decode": 1, "kernel": 2, "encode": 3, "write": 6, "other": 8,
    "slides": 1, "waiting": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot with its title, what it shows in words, and the names of its lines with their colours."""

    title: str
    note: str
    alt: str
    drawn: Drawn
    legend: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """Where the time of the cores of one curve went: names of the parts with their colours, and for each size its
    percentages, which are 100 together."""

    title: str
    by: str
    parts: tuple[tuple[str, int], ...]
    sizes: tuple[tuple[int, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What one machine has come to: ``newest`` record of each case, all ``commits`` in their order; ``costs``: name
    and cells of each case that a run does to each tile; ``peers``: case, package, how many times as fast
    and the interval (empty where it was not timed), how its answer compares or why it was not timed; ``spent``: of the
    newest curve of each kind; ``gpu_missing``: why there is no figure of a GPU."""

    title: str
    facts: tuple[tuple[str, str], ...]
    newest: tuple[Record, ...]
    commits: tuple[str, ...]
    charts: tuple[Chart, ...]
    costs: tuple[tuple[str, ...], ...] = ()
    peers: tuple[tuple[str, ...], ...] = ()
    spent: tuple[Spent, ...] = ()
    gpu_missing: str = ""


def machine_of(record: Record | ScalingRecord) -> Machine:
    """What makes figures comparable: processor, cores, memory, GPUs, file system, image."""
    there = record.environment
    gpus = tuple(there.gpus)
    return there.processor, there.cores, there.memory_gb, gpus, there.file_system, there.container


def commit_of(record: Record | ScalingRecord) -> str:
    """The commit, or the version of an installed package."""
    return record.environment.commit[:COMMIT_LETTERS] or f"version {record.environment.package}"


def history_page(records: Sequence[Record | ScalingRecord], left_out: Sequence[str] = ()) -> str:
    """The page of records, the oldest first, as HTML that needs nothing beside it and asks for nothing from elsewhere;
    ``left_out``: what of the file is not on it, in words. What was measured last stands first."""
    machines = dict.fromkeys(machine_of(record) for record in reversed(records))
    groups = [[record for record in records if machine_of(record) == one] for one in machines]
    parts = [part_of(number, group) for number, group in enumerate(groups)]
    css = code("page.css")
    template = environment().get_template("bench.html")
    cost_header = (SCALE, *HEADER)
    return template.render(
        parts=parts,
        n_records=len(records),
        left_out=left_out,
        cost_header=cost_header,
        read_as=READ_AS,
        css=css,
        css_hash=digest(css),
    )


def part_of(number: int, lines: Sequence[Record | ScalingRecord]) -> Part:
    """The part of one machine, whose records these are."""
    records = [one for one in lines if isinstance(one, Record)]
    newest = tuple({record.case: record for record in records}.values())
    there = lines[-1].environment
    facts = {
        "cores": f"{there.cores:,}",
        "memory": f"{there.memory_gb:g} GB",
        "GPUs": ", ".join(there.gpus) or "none",
        "driver": there.driver,
        "file system": there.file_system,
        "image, SHA-256": there.container[:COMMIT_LETTERS],
    }
    commits = tuple(dict.fromkeys(map(commit_of, records)))
    charts = (
        *(*share_charts(number, newest), *peer_charts(number, newest), *commit_charts(number, records, commits)),
        *scaling_charts(number, curves := newest_curves(lines)),
    )
    said = tuple((name, fact) for name, fact in facts.items() if fact)
    costs, peers, spent = tuple(cost_rows(newest)), tuple(peer_rows(newest)), tuple(map(spent_on, curves))
    is_missing = newest and all(one.gpu_seconds is None for one in newest)
    missing = gpu_figures_missing(there) if is_missing else ""
    return Part(there.processor, said, newest, commits, charts, costs, peers, spent, missing)


def cost_rows(newest: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """Of records that say what was taken; those of before do not."""
    for one in newest:
        if one.topic in PAID and one.core_seconds is not None:
            yield one.case, *cost_cells(one)


def peer_rows(newest: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """Other packages, those that were timed first; how an answer compares is not in lines of before it was kept."""
    for one in newest:
        for peer, times in one.peers.items():
            yield (
                one.case,
                peer,
                f"{times.value:.1f}",
                f"{times.low:.1f} to {times.high:.1f}",
                one.answers.get(peer, ""),
            )
    for one in newest:
        for peer, why in one.left_out.items():
            yield one.case, peer, "", "", why


def share_charts(number: int, newest: Sequence[Record]) -> Iterator[Chart]:
    """The share of the bound of each case."""
    if not newest:
        return
    rows = [(one.case, *_ends(one.share)) for one in newest]
    words = "; ".join(f"{one.case} {share_text(one.share)}" for one in newest)
    yield Chart(
        "Share of the bound",
        "1 is the rate of the bound, measured in the same rounds: what has to be done in any case. Further to the "
        "right is faster; the line is the interval of the median, with 95 % confidence.",
        f"share of the bound: {words}",
        forest_plot(f"share-{number}", Frame("rate, as a multiple of the bound's", "", None), rows),
    )


def peer_charts(number: int, newest: Sequence[Record]) -> Iterator[Chart]:
    """How many times as fast as other packages, where there are any."""
    found = [(f"{peer.partition(',')[0]}: {one.case}", times) for one in newest for peer, times in one.peers.items()]
    if found:
        words = "; ".join(f"{name} {times.value:.1f} times" for name, times in found)
        yield Chart(
            "Beside other packages",
            "How many times as fast, with the same input, in the same rounds. Each gives the same answer, which was "
            "checked first; the table says how it compares.",
            f"times as fast as others: {words}",
            forest_plot(
                f"peers-{number}", Frame("times as fast", "", None), [(name, *_ends(times)) for name, times in found]
            ),
        )


def commit_charts(number: int, records: Sequence[Record], commits: Sequence[str]) -> Iterator[Chart]:
    """Over commits, topic by topic: the rate of each case against its first one."""
    if len(commits) < 2:
        return
    for topic in dict.fromkeys(record.topic for record in records):
        cases = list(dict.fromkeys(record.case for record in records if record.topic == topic))
        for part in (cases[start : start + MOST_LINES] for start in range(0, len(cases), MOST_LINES)):
            yield _over_commits(number, topic, [(case, _of_case(records, case)) for case in part], commits)


def _of_case(records: Sequence[Record], case: str) -> list[Record]:
    """The newest record of a case at each commit."""
    return list({commit_of(record): record for record in records if record.case == case}.values())


def _over_commits(number: int, topic: str, cases: Sequence[tuple[str, list[Record]]], commits: Sequence[str]) -> Chart:
    lines = [_line(index, case, records, commits) for index, (case, records) in enumerate(cases)]
    words = "; ".join(f"{line.label}: {', '.join(f'{y:.2f}' for y in line.y)}" for line in lines)
    frame = Frame(
        "commit, in the order of the history",
        "rate / first rate",
        (0.8, len(commits) + 0.2),
        None,
        has_whole_x=True,
        references=(Reference((0.8, len(commits) + 0.2), (1.0, 1.0)),),
    )
    return Chart(
        f"Over commits: {topic}",
        "The rate of each case against its first one on this machine. On a busy machine rates fall for all.",
        f"rates over commits, {topic}: {words}",
        line_plot(f"commits-{number}-{topic}", frame, lines),
        tuple((line.label, line.series) for line in lines),
    )


def _line(index: int, case: str, records: Sequence[Record], commits: Sequence[str]) -> Line:
    first = records[0].rate.value
    x = np.array([commits.index(commit_of(record)) + 1.0 for record in records])
    y = np.array([record.rate.value / first for record in records])
    spans = np.array([[record.rate.low / first, record.rate.high / first] for record in records])
    return Line(case, x, y, series_of(index), spans, has_dots=True)


def newest_curves(lines: Sequence[Record | ScalingRecord]) -> list[ScalingRecord]:
    """The newest curve of each kind."""
    curves = [one for one in lines if isinstance(one, ScalingRecord)]
    return list({(one.mode, one.by, one.workload, one.task): one for one in curves}.values())


def spent_on(one: ScalingRecord) -> Spent:
    """Where the time of a curve's cores went."""
    parts = parts_of(one.sizes)
    names = tuple((name, COLOURS[name]) for name in parts[0])
    sizes = zip((each.size for each in one.sizes), map(percentages, parts), strict=True)
    return Spent(kind_of(one), BY[one.by], names, tuple(sizes))


def percentages(parts: Mapping[str, float]) -> tuple[float, ...]:
    """Of seconds. Workers count tenths of a second, so that a part may come out below 0: it is shown as 0."""
    seconds = [max(0.0, each) for each in parts.values()]
    whole = sum(seconds) or 1.0
    return tuple(100 * each / whole for each in seconds)


def scaling_charts(number: int, newest: Sequence[ScalingRecord]) -> Iterator[Chart]:
    """Curves against the ideal."""
    if not newest:
        return
    lines = [_speed_up(index, one) for index, one in enumerate(newest)]
    most = max(one.sizes[-1].size / one.base for one in newest)
    words = "; ".join(
        f"{line.label}: {', '.join(f'{y:.2f} at {x:.0f}' for x, y in zip(line.x, line.y, strict=True))}"
        for line in lines
    )
    reference = Reference((1.0, most), (1.0, most), "ideal", (most * 0.75, most * 0.78))
    yield Chart(
        "Scaling of tile",
        "The work on slides that is done in a second, over the number of cores, both as multiples of the base case. "
        "Strong: all sizes have the same slides; weak: each worker has as many. The dotted line is the ideal. "
        "Intervals are of the median over the rounds.",
        f"speed-up against the base case: {words}",
        line_plot(
            f"scaling-{number}",
            Frame(
                "cores / cores of the base case",
                "work a second / base case",
                None,
                None,
                has_whole_x=True,
                references=(reference,),
            ),
            lines,
        ),
        tuple((line.label, line.series) for line in lines),
    )


def _speed_up(index: int, one: ScalingRecord) -> Line:
    x = np.array([each.size / one.base for each in one.sizes])
    y, low, high = (np.array(ends) for ends in zip(*(_ends(each.efficiency) for each in one.sizes), strict=True))
    return Line(kind_of(one), x, x * y, series_of(index), np.stack([x * low, x * high], axis=1), has_dots=True)


def kind_of(one: ScalingRecord) -> str:
    """``strong, workers, generated, 16 slides``."""
    size = "" if one.task is None else f" of {some(one.task.workers, 'core')}"
    return f"{one.mode}, {BY[one.by]}{size}, {one.workload}, {one.sizes[-1].slides} slides"


def _ends(spread: Spread) -> tuple[float, float, float]:
    return spread.value, spread.low, spread.high


def share_text(spread: Spread) -> str:
    """``91 % (88 to 99)``."""
    return f"{spread.value * 100:.0f} % ({spread.low * 100:.0f} to {spread.high * 100:.0f})"
