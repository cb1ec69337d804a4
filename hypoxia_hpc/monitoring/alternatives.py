"""estimate --slides: what a cohort takes that is not there yet, and what other settings of run.toml would cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from hypoxia_hpc.config import RunConfig, TileTable
from hypoxia_hpc.monitoring.estimate import (
    Rates,
    RunEstimate,
    StageEstimate,
    extract_estimate,
    rates_of,
    tile_estimate,
)
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.like_cohorts import SIZES, slides_like
from hypoxia_hpc.runs.rates import Figure, mean_of, raw_tile_bytes, telling, tiles_against, tiles_kept
from hypoxia_hpc.runs.survey import Survey, current_receipts
from hypoxia_hpc.slides.costs import bytes_of_cost

CHANGES: Sequence[tuple[str, Mapping[str, object]]] = (
    ('pixels = "none"', {"pixels": "none"}),
    ('codec = "none"', {"pixels": "store", "codec": "none"}),
    ('codec = "lz4"', {"pixels": "store", "codec": "lz4"}),
    ('codec = "zstd"', {"pixels": "store", "codec": "zstd"}),
    ('codec = "jpeg"', {"pixels": "store", "codec": "jpeg"}),
    ("mpp = 0.5 (20x)", {"mpp": 0.5}),
    ("mpp = 0.25 (40x)", {"mpp": 0.25}),
)


@dataclass(frozen=True, slots=True)
class Alternative:
    """The slide by slide stages under some settings, in words; the rates behind them."""

    settings: str
    stages: tuple[StageEstimate, ...]
    rates: Rates


@dataclass(frozen=True, slots=True)
class CohortAhead:
    """``slides`` slides like those of a cohort ``like``, whose files have ``nbytes``, and which cost ``mean_cost`` on
    average; ``source`` says where their sizes are from. The first of the ``alternatives`` is [tile] as it is."""

    slides: int
    like: str
    source: str
    nbytes: float
    mean_cost: float
    alternatives: tuple[Alternative, ...]

    def as_json(self) -> Json:
        return asdict(self)


def cohort_ahead(config: RunConfig, n: int, like: str, rates: Rates) -> CohortAhead:
    """What ``n`` slides like those of a cohort take, at these rates."""
    slides = slides_like(like, n)
    found, cost = estimated_alternatives(config, slides, rates), sum(one.cost for one in slides)
    return CohortAhead(n, like, SIZES[like].source, bytes_of_cost(cost), mean_of(one.cost for one in slides), found)


def estimated_alternatives(config: RunConfig, slides: Sequence[Slide], rates: Rates) -> tuple[Alternative, ...]:
    """What all these slides take from the beginning, under the settings as they are and under each other one."""
    return tuple(
        Alternative(words, stages_of_alternative(other, slides, changed), changed)
        for words, other in alternatives(config)
        for changed in [rates_for(rates, config.tile, other.tile)]
    )


def run_alternatives(run: RunDir, found: RunEstimate) -> tuple[Alternative, ...]:
    """The same for the slides of a run that are no images in folders and no imported features; those that will be
    quarantined are left out."""
    config = run.config()
    slides = [one for one in run.slides() if one.slide_id not in found.unread]
    is_of_slides = config.extract.is_made_here and not any(one.images for one in slides)
    return estimated_alternatives(config, slides, found.rates) if slides and is_of_slides else ()


def known_rates(config: RunConfig, survey: Survey | None, mean_cost: float) -> Rates:
    """Those of the slides of a run that are done for its present run.toml, else assumed ones; for slides that cost
    ``mean_cost`` on average."""
    told = telling(survey.costs, mean_cost) if survey else {}
    tiled = current_receipts("tile", survey.tiles) if survey else {}
    extracted = current_receipts("extract", survey.features) if survey else {}
    kept = tiles_kept(config.tile)
    rates = rates_of(config, told, tiled, extracted, kept)
    return rates if rates.tiles.slides else replace(rates, tiles=kept)


def alternatives(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Settings that change how much is computed and stored, in words; first those that there are."""
    yield "as they are", config
    for words, change in CHANGES:
        if any(getattr(config.tile, name) != value for name, value in change.items()):
            yield words, config.model_copy(update={"tile": config.tile.model_copy(update=change)})


def rates_for(rates: Rates, table: TileTable, other: TileTable) -> Rates:
    """The rates under another [tile]: its bytes are assumed where it packs pixels otherwise, its tiles are counted by
    their area, and what was measured with decoding is taken without where it keeps pixels."""
    alone = rates.decodes and other.pixels != "none"
    is_packed_alike = (table.pixels, table.codec, table.tile_px) == (other.pixels, other.codec, other.tile_px)
    return replace(
        rates,
        tiles=rates.tiles.times(tiles_against(other, table.tile_px * table.mpp)),
        tile_bytes=rates.tile_bytes if is_packed_alike else raw_tile_bytes(other),
        extract_seconds=_without_decoding(rates) if alone else rates.extract_seconds,
        decodes=rates.decodes and not alone,
    )


def _without_decoding(rates: Rates) -> Figure:
    """Of a tile. Beside a GPU slides are decoded meanwhile, so nothing is known to be less; never less than a tenth."""
    whole, tiles = rates.extract_seconds, rates.tiles.value
    decoding = 0.0 if rates.gpu or not tiles else rates.tile_seconds.value / tiles
    left = max(0.1, 1 - decoding / whole.value)
    return replace(whole.times(left), origin=f"{whole.origin}, less decoding" if left < 1 else whole.origin)


def stages_of_alternative(config: RunConfig, slides: Sequence[Slide], rates: Rates) -> tuple[StageEstimate, ...]:
    return tile_estimate(config, slides, {}, rates), extract_estimate(config, slides, {}, {}, rates)
