"""status: how far a run is, stage by stage, from what lies on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hypoxia_hpc.errors import HypoxiaError, NotReadyError
from hypoxia_hpc.networks.frozen import model_key
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.scale.cohort import load_cohort
from hypoxia_hpc.scale.rundir import RunDir
from hypoxia_hpc.scale.standing import Standing, feature_standing, run_spec, tile_standing


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Counts of one stage; ``tiles`` and ``seconds`` are sums over receipts of work done, seconds of all workers
    together, ``readers`` how many of the slides done were read by what."""

    stage: str
    done: int
    quarantined: int
    todo: int
    tiles: int = 0
    seconds: float = 0.0
    note: str = ""
    readers: Mapping[str, int] = field(default_factory=dict)

    @property
    def tiles_per_second(self) -> float:
        return self.tiles / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Every stage, and every quarantined slide with its reason."""

    stages: tuple[StageStatus, ...]
    quarantined: tuple[tuple[str, Receipt], ...]

    def as_json(self) -> dict[str, object]:
        return {
            "stages": [{**asdict(stage), "tiles_per_second": stage.tiles_per_second} for stage in self.stages],
            "quarantined": [{"stage": stage, **asdict(receipt)} for stage, receipt in self.quarantined],
        }


def run_status(run: RunDir) -> RunStatus:
    """Where the run stands. Raises InputError for a folder that is no run, or bad tables."""
    config, slides = run.config(), run.slides()
    tiles = [tile_standing(run, config.tile, slide) for slide in slides]
    stages = [_slide_stage("tile", tiles)]
    try:
        spec = run_spec(config)
    except HypoxiaError as error:
        # Without the weights nobody can tell which features are current; what is known is still shown.
        waiting = sum(standing.status != "quarantined" for standing in tiles)
        held = len(tiles) - waiting
        stages.append(StageStatus(f"extract {config.extract.name}", 0, held, waiting, note=error.problem))
        features = tiles
    else:
        features = [feature_standing(run, config.extract.name, spec, standing) for standing in tiles]
        stages.append(_slide_stage(f"extract {config.extract.name}", features))
    stages += _cohort_stages(run, config.train.heads)
    quarantined = [(one.stage, one.receipt) for one in features if one.status == "quarantined" and one.receipt]
    return RunStatus(tuple(stages), tuple(quarantined))


def _slide_stage(name: str, standings: Sequence[Standing]) -> StageStatus:
    stage = name.partition(" ")[0]
    done = [one for one in standings if one.status == "done"]
    receipts = [one.receipt for one in done if one.receipt is not None and one.receipt.key == one.key]
    return StageStatus(
        name,
        done=len(done),
        quarantined=sum(one.status == "quarantined" for one in standings),
        todo=sum(one.status == "todo" for one in standings),
        tiles=sum(_tiles_handled(stage, receipt) for receipt in receipts),
        seconds=sum(receipt.seconds for receipt in receipts),
        readers=dict(Counter(one.reader for one in done if one.reader).most_common()) if stage == "tile" else {},
    )


def _tiles_handled(stage: str, receipt: Receipt) -> int:
    """Tiles decided on (tile) or put through the network (extract); a receipt written after a kill has no seconds."""
    if not receipt.seconds:
        return 0
    return int(receipt.extra.get("counts", {}).get("planned", 0)) if stage == "tile" else receipt.rows


def _cohort_stages(run: RunDir, heads: Sequence[str]) -> list[StageStatus]:
    """train, evaluate and report; what was made of another cohort or run.toml counts as to do."""
    try:
        if all(patient.label is None for patient in run.patients()):
            raise NotReadyError("no patient has a label")
        cohort = load_cohort(run)
        sets = cohort.sets()
    except HypoxiaError as error:
        waiting = [StageStatus("train", 0, 0, len(heads), note=error.problem), StageStatus("evaluate", 0, 0, 1)]
        shown = run.report_file.exists() and not run.metrics_file.exists()
        return [*waiting, _file_stage("report", shown)]
    trained = sum(model_key(run.model(head)) == key for head, key in cohort.model_keys(sets).items())
    metrics = run.metrics()
    evaluated = metrics is not None and metrics.get("key") == cohort.evaluation_key(sets)
    return [
        StageStatus("train", trained, 0, len(heads) - trained),
        _file_stage("evaluate", evaluated),
        _file_stage("report", evaluated and _is_newer(run.report_file, run.metrics_file)),
    ]


def _is_newer(file: Path, than: Path) -> bool:
    return file.exists() and file.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _file_stage(name: str, done: bool) -> StageStatus:
    return StageStatus(name, int(done), 0, int(not done))
