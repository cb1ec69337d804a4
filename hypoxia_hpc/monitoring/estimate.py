"""estimate: files, bytes, core- and GPU-hours that a run still takes, against what its disk and the quota leave.

Every figure is measured on this run where slides are done for the present run.toml, else this machine's own where
there is one, else assumed, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.machine.disks import Mount, Room, free_room, mount_of, quota_room
from hypoxia_hpc.monitoring.foreseen import planned_tiles as planned_of
from hypoxia_hpc.monitoring.remaining import cohort_stages
from hypoxia_hpc.networks.backbones.work import WORK
from hypoxia_hpc.networks.heads.cost import CohortSize
from hypoxia_hpc.records import Json, Patient, Receipt, Slide
from hypoxia_hpc.runs.cohort import patients_with_slides
from hypoxia_hpc.runs.costs import START, cohort_cost, cohort_size
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.operations import network_operations
from hypoxia_hpc.runs.rates import (
    EXACT,
    Figure,
    device_seconds,
    kept_share,
    mean_of,
    measured,
    planned_tiles,
    product,
    ratio,
    raw_feature_bytes,
    raw_tile_bytes,
    seconds_a_tile,
    seconds_per_cost,
    telling,
    with_decoding,
)
from hypoxia_hpc.runs.stages import Stage, stages_of
from hypoxia_hpc.runs.state import SlideState
from hypoxia_hpc.runs.survey import current_receipts, survey_run
from hypoxia_hpc.slurm.resources import gpus_of, table_of

# Of the slides that need no more work in a stage, by id.
Receipts = Mapping[str, Receipt]

# Headers that are looked at, spread over the costs.
SAMPLE = 40
# Files and folders of a store and its receipt: tile with pixels and without, extract.
FILES = {"store": 12, "none": 9, "extract": 9}
# Of a slide in a stage of another package: its receipt, and a store as small as one can be.
ADDED_FILES = 9
HOUR = 3600.0
# Of what the heads say they take: tests hold them to it on the machine that was measured, and others differ by more.
COST_SCATTER, COST_ORIGIN = 2.0, "assumed: the heads' own costs, measured on two cores without a GPU"


@dataclass(frozen=True, slots=True)
class Rates:
    """What everything is reckoned from. Per unit of cost: ``tile_seconds`` of a core and ``tiles`` kept. Per tile:
    ``tile_bytes``, ``feature_bytes``, and ``extract_seconds`` of a core or, with ``gpu``, of a GPU. ``too_small``:
    slides that are done and tell nothing of the ones in question. ``decodes``: ``extract_seconds`` was measured with
    stores that keep no pixels, so that decoding is in it."""

    tile_seconds: Figure
    tiles: Figure
    tile_bytes: Figure
    extract_seconds: Figure
    feature_bytes: Figure
    gpu: bool
    decodes: bool = False
    too_small: int = 0


@dataclass(frozen=True, slots=True)
class OwnRates:
    """Rates that were measured on this machine without a run, as of `Rates`, None where not: better than assumed ones,
    worse than those of a run's own slides."""

    tile_seconds: Figure | None = None
    extract_seconds: Figure | None = None

    def instead_of_assumed(self, rates: Rates) -> Rates:
        """The rates, with these where no slide of a run was measured."""
        tile, extract = rates.tile_seconds, rates.extract_seconds
        return replace(
            rates,
            tile_seconds=tile if tile.slides else self.tile_seconds or tile,
            extract_seconds=extract if extract.slides else self.extract_seconds or extract,
        )


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What a stage still takes for ``slides`` slides; ``gpu_hours`` is None where it runs on cores alone."""

    stage: str
    slides: int
    tiles: Figure
    files: int
    nbytes: Figure
    core_hours: Figure
    gpu_hours: Figure | None


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """All models of one head or clustering in a stage; ``core_hours`` are those of CPU cores."""

    name: str
    core_hours: Figure
    nbytes: Figure


@dataclass(frozen=True, slots=True)
class CohortEstimate:
    """A stage that sees the whole cohort, as if none of its models was there: hours of CPU cores, ``hours`` by clock
    on the cores of [site.slurm], ``nbytes`` of memory. ``unknown``: heads without a known cost, left out."""

    stage: str
    core_hours: Figure
    hours: Figure
    nbytes: Figure
    models: tuple[ModelEstimate, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """The stages that go slide by slide, the rates behind them, and the room for their results; ``cohort``: those after
    them that are to do, none without labels. ``train_bytes``: memory of train, None without labels. ``unread``: slides
    looked at that will be quarantined, each with its reason: they count as no work. ``unknown``: why it is not known
    here what is extracted: all of it counts as to do.
    """

    stages: tuple[StageEstimate, ...]
    rates: Rates
    mean_cost: float
    train_bytes: Figure | None
    mount: Mount
    rooms: tuple[Room, ...]
    unread: Mapping[str, str]
    unknown: str = ""
    cohort: tuple[CohortEstimate, ...] = ()

    def as_json(self) -> Json:
        return {**asdict(self), "rooms": [{**asdict(room), "enough": self.is_enough(room)} for room in self.rooms]}

    def is_enough(self, room: Room) -> bool:
        """Do the results fit, if everything comes as large as it may?"""
        nbytes, files = sum(one.nbytes.high for one in self.stages), sum(one.files for one in self.stages)
        return (room.nbytes is None or nbytes <= room.nbytes) and (room.files is None or files <= room.files)


def estimate_run(run: RunDir, own: OwnRates = OwnRates()) -> RunEstimate:
    """What is still to do, as ``status`` counts it; ``own`` rates stand for assumed ones. Raises InputError for bad
    tables."""
    survey = survey_run(run)
    config, slides = survey.config, survey.slides
    tiled, extracted = current_receipts("tile", survey.tiles), current_receipts("extract", survey.features)
    mean_cost = mean_of(survey.costs.values())
    told = telling(survey.costs, mean_cost)
    planned, unread = _planned_per_cost(config.tile, slides, tiled, told)
    is_counted = config.extract.is_made_here and config.extract.backbone not in WORK
    counted = partial(network_operations, run, config) if is_counted else lambda: None
    rates = own.instead_of_assumed(rates_of(config, told, tiled, extracted, planned, counted))
    sound = [slide for slide in slides if config.extract.is_made_here and slide.slide_id not in unread]
    stages = (
        tile_estimate(config, sound, tiled, rates),
        extract_estimate(config, sound, tiled, extracted, rates),
        *(
            added_estimate(config, stage, survey.added[stage.name], tiled, rates, told)
            for stage in stages_of("slide")
            if stage.key
        ),
    )
    mount = mount_of(run.root)
    rooms = [room for room in (free_room(run.root), quota_room(mount)) if room is not None]
    patients = list(patients_with_slides(slides, survey.patients).values())
    labelled = any(patient.label is not None for patient in patients)
    whole = cohort_estimates(config, len(slides), patients, _tiles_of(sound, tiled, rates))
    todo = cohort_stages(survey, {one.stage.partition(" ")[0] for one in stages if one.slides})
    return RunEstimate(
        stages,
        rates,
        mean_cost,
        whole["train"].nbytes if labelled else None,
        mount,
        tuple(rooms),
        unread,
        "" if survey.unknown is None else survey.unknown.problem,
        tuple(whole[stage] for stage in whole if stage in todo),
    )


def _planned_per_cost(
    table: TileTable, slides: Sequence[Slide], tiled: Receipts, told: Mapping[str, int]
) -> tuple[Figure, dict[str, str]]:
    """Tiles that slides are cut into, before background is dropped, per unit of cost; and which of those looked at will
    be quarantined, and why. ``told``: as of `rates_of`."""
    known = measured(tiled.values(), told, planned_tiles)
    todo = [slide for slide in slides if slide.slide_id not in tiled]
    plans: list[tuple[int, int]] = []
    unread: dict[str, str] = {}
    for slide in sample(slides if known is None else todo):
        try:
            plans.append((planned_of(slide, table), slide.cost))
        except SlideError as error:
            unread[slide.slide_id] = error.reason
    if known is not None:
        return known, unread
    plans = [(n, cost) for n, cost in plans if cost]
    if not plans:
        return Figure(0.0, 0.0, 0.0, "no slide that was looked at gives tiles"), unread
    found = ratio([float(n) for n, _ in plans], [cost for _, cost in plans])
    origin = found.origin.replace("measured on", "from the headers of")
    return replace(found, origin=origin, slides=0), unread


def sample(slides: Sequence[Slide]) -> list[Slide]:
    """At most `SAMPLE` of the slides, evenly spaced in the order of their costs."""
    in_order = sorted(slides, key=lambda slide: (slide.cost, slide.slide_id))
    n = min(SAMPLE, len(in_order))
    return [in_order[(2 * index + 1) * len(in_order) // (2 * n)] for index in range(n)]


def rates_of(
    config: RunConfig,
    told: Mapping[str, int],
    tiled: Receipts,
    extracted: Receipts,
    planned: Figure,
    operations: Callable[[], int | None] = lambda: None,
) -> Rates:
    """Measured from receipts where there are any, else assumed; bytes that are known exactly need no measurement.
    ``told``: costs of the slides that tell something of those in question (`runs.rates.telling`), of all that are done.
    ``planned``: tiles per unit of cost before any is dropped. ``operations`` counts those of the network for a tile,
    where nothing is measured."""
    n_done = sum(receipt.status == "done" for receipt in tiled.values())
    tiled, extracted = _only(tiled, told), _only(extracted, told)
    gpu = gpus_of(table_of("extract", config.site.slurm).gres) > 0
    kept = measured(tiled.values(), told, lambda receipt: float(receipt.rows))
    raw = raw_tile_bytes(config.tile)
    a_tile = _a_row(extracted, lambda receipt: device_seconds(receipt, gpu=gpu))
    return Rates(
        tile_seconds=seconds_per_cost("tile", tiled.values(), told, config),
        tiles=kept or product(planned, kept_share(config.tile)),
        tile_bytes=raw if raw.origin == EXACT else _a_row(tiled, lambda receipt: float(receipt.bytes)) or raw,
        extract_seconds=a_tile or seconds_a_tile(config, gpu=gpu, operations=operations()),
        feature_bytes=raw_feature_bytes(config),
        gpu=gpu,
        decodes=a_tile is not None and config.tile.pixels == "none",
        too_small=n_done - sum(receipt.status == "done" for receipt in tiled.values()),
    )


def _only(receipts: Receipts, told: Mapping[str, int]) -> Receipts:
    return {slide_id: receipt for slide_id, receipt in receipts.items() if slide_id in told}


def _a_row(receipts: Receipts, amount: Callable[[Receipt], float]) -> Figure | None:
    """An amount per tile, over the slides that are done."""
    rows = {slide_id: receipt.rows for slide_id, receipt in receipts.items()}
    return measured(receipts.values(), rows, amount)


def tile_estimate(config: RunConfig, slides: Sequence[Slide], tiled: Receipts, rates: Rates) -> StageEstimate:
    """What ``tile`` still takes."""
    todo = [slide for slide in slides if slide.slide_id not in tiled]
    cost = sum(slide.cost for slide in todo)
    tiles = rates.tiles.times(cost)
    return StageEstimate(
        "tile",
        len(todo),
        tiles,
        FILES[config.tile.pixels] * len(todo),
        product(tiles, rates.tile_bytes),
        rates.tile_seconds.times(cost / HOUR),
        None,
    )


def extract_estimate(
    config: RunConfig, slides: Sequence[Slide], tiled: Receipts, extracted: Receipts, rates: Rates
) -> StageEstimate:
    """What ``extract`` still takes, of slides that are tiled and of those that will be."""
    todo = [
        slide
        for slide in slides
        if slide.slide_id not in extracted
        and ((receipt := tiled.get(slide.slide_id)) is None or receipt.status == "done")
    ]
    tiles = _tiles_of(todo, tiled, rates)
    decoding = rates.tile_seconds.times(sum(slide.cost for slide in todo))
    hours = extract_seconds(product(tiles, rates.extract_seconds), decoding, config, rates).times(1 / HOUR)
    return StageEstimate(
        f"extract {config.extract.title}",
        len(todo),
        tiles,
        FILES["extract"] * len(todo),
        product(tiles, rates.feature_bytes),
        hours.times(table_of("extract", config.site.slurm).cpus) if rates.gpu else hours,
        hours if rates.gpu else None,
    )


def extract_seconds(network: Figure, decoding: Figure, config: RunConfig, rates: Rates) -> Figure:
    """Both together, as of `with_decoding`, unless decoding is in what was measured."""
    return network if rates.decodes else with_decoding(network, decoding, config, gpu=rates.gpu)


def added_estimate(
    config: RunConfig,
    stage: Stage,
    states: Sequence[SlideState],
    tiled: Receipts,
    rates: Rates,
    told: Mapping[str, int],
) -> StageEstimate:
    """What a stage of another package still takes. Its bytes are 0 as long as it has not made any. ``told``: as of
    `rates_of`."""
    receipts = _only(current_receipts(stage.name, states), told)
    todo = [one.slide for one in states if one.status == "todo"]
    tiles, gpu = _tiles_of(todo, tiled, rates), rates.gpu and stage.device == "gpu"
    a_tile = _a_row(receipts, lambda receipt: float(receipt.bytes)) or Figure(0.0, 0.0, 0.0, "nothing made yet")
    hours = seconds_per_cost(stage.name, receipts.values(), told, config, gpu=gpu).times(
        sum(slide.cost for slide in todo) / HOUR
    )
    return StageEstimate(
        stage.name,
        len(todo),
        tiles,
        ADDED_FILES * len(todo),
        product(tiles, a_tile),
        hours.times(table_of(stage.name, config.site.slurm).cpus) if gpu else hours,
        hours if gpu else None,
    )


def _tiles_of(slides: Sequence[Slide], tiled: Receipts, rates: Rates) -> Figure:
    """Tiles kept of these slides: counted where receipts tell, reckoned where not."""
    known = {one: receipt.rows for one, receipt in tiled.items() if receipt.rows or receipt.status == "quarantined"}
    counted = sum(known.get(slide.slide_id, 0) for slide in slides)
    rest = rates.tiles.times(sum(slide.cost for slide in slides if slide.slide_id not in known))
    return replace(rest, value=counted + rest.value, low=counted + rest.low, high=counted + rest.high)


def cohort_estimates(
    config: RunConfig, n_slides: int, patients: Sequence[Patient], tiles: Figure
) -> dict[str, CohortEstimate]:
    """What the stages that learn from labels take, by the costs that they and the heads name."""
    estimated = [stage.name for stage in stages_of("cohort", config) if stage.labelled and stage.cost]
    sizes = [cohort_size(config, n_slides, patients, n) for n in (tiles.value, tiles.low, tiles.high)]
    return {stage: _cohort_estimate(stage, config, sizes) for stage in estimated}


def _cohort_estimate(stage: str, config: RunConfig, sizes: Sequence[CohortSize]) -> CohortEstimate:
    """``sizes``: as expected, the smallest, the largest."""
    costs = [cohort_cost(stage, config, size) for size in sizes]
    parts = [(name, [cost.parts[name] for cost in costs]) for name in costs[0].parts if name != START]
    return CohortEstimate(
        stage,
        _hours([cost.core_seconds for cost in costs]),
        _hours([cost.seconds(table_of(stage, config.site.slurm).cpus) for cost in costs]),
        _memory([cost.peak_bytes for cost in costs]),
        tuple(
            ModelEstimate(name, _hours([one.core_seconds for one in part]), _memory([one.peak_bytes for one in part]))
            for name, part in parts
        ),
        costs[0].unknown,
    )


def _hours(seconds: Sequence[float]) -> Figure:
    value, low, high = (one / HOUR for one in seconds)
    return Figure(value, low / COST_SCATTER, high * COST_SCATTER, COST_ORIGIN)


def _memory(nbytes: Sequence[float]) -> Figure:
    value, low, high = nbytes
    return Figure(value, low, high, COST_ORIGIN)
