"""report: everything a run has on disk -> one HTML page and files beside it. Reads what is there."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from hypoxia_hpc import __version__
from hypoxia_hpc.config import RunConfig, render_config
from hypoxia_hpc.config.heads.registry import is_on_pixels
from hypoxia_hpc.errors import MachineError, NotReadyError, SlideError, Stopped, some_names
from hypoxia_hpc.models.contact_sheets import kept_tiles_jpeg
from hypoxia_hpc.models.criteria import CRITERIA
from hypoxia_hpc.models.outside import predicted_metrics
from hypoxia_hpc.models.predictions import predictions_digest
from hypoxia_hpc.models.reported import clusters_of, cohort_of, predictions_of
from hypoxia_hpc.models.reported_phenotypes import phenotypes_of
from hypoxia_hpc.models.tile_galleries import galleries_of
from hypoxia_hpc.networks.backbones.pathology.advice import advice_of
from hypoxia_hpc.networks.heads.saved import ModelRecord, damaged, read_record
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.reading import read_json
from hypoxia_hpc.records import Json, Receipt, Slide
from hypoxia_hpc.reports.content import flow_steps, left_out_of
from hypoxia_hpc.reports.data import (
    Curves,
    LeftOutImage,
    Provenance,
    QuarantinedSlide,
    ReportData,
    Search,
    SlideRow,
    StageTime,
)
from hypoxia_hpc.reports.kinds.registry import KINDS
from hypoxia_hpc.reports.lead import lead_model
from hypoxia_hpc.reports.page import report_files
from hypoxia_hpc.reports.shown_models import feature_compute, search_of
from hypoxia_hpc.runs.cohort import Cohort, model_names, patients_with_slides
from hypoxia_hpc.runs.device_time import device_time_of, threads_of
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_spec
from hypoxia_hpc.runs.made_by import is_predicted, used_of
from hypoxia_hpc.runs.prognosis import SURVIVAL_FILE, is_of_present, read_survival
from hypoxia_hpc.runs.quality import shown_quality
from hypoxia_hpc.runs.rates import hours_of_a_thousand, planned_tiles
from hypoxia_hpc.runs.receipts import COHORT, read_receipt
from hypoxia_hpc.runs.stages import stages_of
from hypoxia_hpc.runs.state import SlideState, odd_slides, run_spec
from hypoxia_hpc.runs.survey import Survey, survey_run
from hypoxia_hpc.slurm.spent import spent_of_run
from hypoxia_hpc.stores.attributes import (
    SlideHeader,
    TileAttributes,
    read_feature_attributes,
    read_tile_attributes,
    why_left_out,
)
from hypoxia_hpc.stores.commit import committing_directory

STAGE = "report"
THUMBNAIL_PX = 800
# Those that are installed here: a report needs no backend of Keras.
SHOWN_VERSIONS = ("numpy", "tensorflow", "jax", "torch", "keras", "zarr", "openslide-python", "scikit-learn", "pandas")


def report(run: RunDir, *, others: Sequence[RunDir] = (), progress: Progress, stop: threading.Event) -> Path:
    """Write the folder report/ anew, the page and what lies beside it, and return the page's path. ``others``: runs
    that are shown beside this one.

    Raises:
        Stopped: on request, between slides.
        InputError: bad tables.
        NotReadyError: metrics that are not of the present cohort and run.toml, a damaged model.
    """
    data = _collected(run, progress, stop)
    beside = tuple(_collected(other, progress, stop, with_thumbnails=False) for other in others)
    lead, _ = lead_model(data, KINDS[data.outcome.kind].headline)
    galleries = galleries_of(run, run.config(), data.outcome, lead, data.predictions, run.slides(), progress)
    files = report_files(dataclasses.replace(data, others=beside, galleries=galleries))
    # As a whole: no file of an earlier report stays.
    with committing_directory(run.report_file.parent, lambda _: False, sealed=False) as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return run.report_file


def _collected(run: RunDir, progress: Progress, stop: threading.Event, *, with_thumbnails: bool = True) -> ReportData:
    config, outcome = run.config(), run.outcome()
    records = _model_records(run, config)
    survey = survey_run(run, partial(_spec, records), read_slides=True)
    if survey.unknown is not None and not isinstance(survey.unknown, MachineError):
        raise survey.unknown
    spec, states = survey.spec, survey.furthest
    patients, metrics = patients_with_slides(survey.slides, survey.patients), _metrics(survey)
    survival, labels = _survival(run, config), {name: patient.label for name, patient in patients.items()}
    spent, why_not_spent = spent_of_run(run)
    return ReportData(
        title="/".join(run.root.absolute().parts[-2:]),
        metrics=metrics,
        predictions=predictions_of(run, config, outcome, patients),
        histories=tuple(_history(name, record) for name, record in records.items()),
        patients=cohort_of(run, patients),
        flow=_flow(run),
        slides=_slide_rows(run, config.report.thumbnails if with_thumbnails else 0, states, progress, stop),
        quarantined=tuple(_quarantined(one) for one in states if one.status == "quarantined" and one.receipt),
        times=_times(run, config, states),
        provenance=_provenance(run, config, records, metrics, states),
        threshold=config.evaluate.threshold,
        confidence=config.evaluate.confidence,
        random_weights=_is_random(records, spec),
        max_thumbnails=config.report.thumbnails,
        outcome=outcome,
        settings=config.model_dump(mode="json"),
        clusters=clusters_of(run, config, labels),
        phenotypes=phenotypes_of(run, survival, labels),
        searches=_searches(run, records, outcome),
        random_start=tuple(name for name, record in records.items() if _begins_at_random(record)),
        remarks=odd_slides(survey.tiles),
        left_out=tuple(_left_out_images(run, survey.tiles)),
        models_note=_sentence(used_of(run).note),
        tiles_note=advice_of(config),
        spent=spent,
        why_not_spent=why_not_spent,
        survival=survival,
        quality=shown_quality(run, survey.slides, with_pictures=with_thumbnails),
    )


def _spec(records: Mapping[str, ModelRecord], config: RunConfig) -> Json:
    """The spec of run.toml; where the weights are not on this machine, with those that the models were trained with,
    so that a report can be made elsewhere. Raises MachineError where there are neither."""
    try:
        return run_spec(config)
    except MachineError:
        digests = {str(record.extract_spec.get("weights_digest")) for record in records.values()}
        trained_with = [digest for digest in digests if not digest.startswith("random:")]
        if len(trained_with) != 1:
            raise
        return extract_spec(config.extract, config.tile.tile_px, trained_with[0])


def _is_random(records: Mapping[str, ModelRecord], spec: Json | None) -> bool:
    specs = [record.extract_spec for record in records.values()] + ([spec] if spec else [])
    return any(str(one.get("weights_digest")).startswith("random:") for one in specs)


def _begins_at_random(record: ModelRecord) -> bool:
    return is_on_pixels(record.head) and record.settings.get("weights") == "random"


def _metrics(survey: Survey) -> Json:
    """metrics.json, if it is sound and of the present cohort and run.toml; no models where there is none."""
    run = survey.run
    if is_predicted(run) and survey.spec is not None:
        patients = patients_with_slides(survey.slides, survey.patients)
        return predicted_metrics(Cohort(run, survey.config, survey.spec, survey.features, patients))
    labels = (patient.label for patient in patients_with_slides(survey.slides, survey.patients).values())
    if not run.metrics_file.exists() or all(label is None for label in labels):
        return {"schema": 1, "models": {}}
    metrics = run.metrics()
    if metrics is None or metrics.get("predictions") != predictions_digest(run.predictions):
        raise _stale(run, "or predictions/ is damaged")
    if survey.spec is not None:
        cohort = survey.cohort()
        if metrics.get("key") == cohort.evaluation_key(cohort.fold_sets()):
            return metrics
    raise _stale(run, "is of another cohort or another run.toml")


def _stale(run: RunDir, why: str) -> NotReadyError:
    return NotReadyError(
        f"{run.metrics_file} {why}", remedy=f"hypoxia-hpc run {run.word}: only what changed is done again"
    )


def _model_records(run: RunDir, config: RunConfig) -> dict[str, ModelRecord]:
    names = [name for name, _, _ in model_names(config.train)]
    return {name: read_record(run.model(name)) for name in names if run.model(name).is_dir()}


def _searches(run: RunDir, records: Mapping[str, ModelRecord], outcome: Outcome) -> tuple[Search, ...]:
    """Raises NotReadyError for a damaged record."""
    figure, found = CRITERIA[outcome.kind].name, []
    for name, one in records.items():
        try:
            found += [search_of(name, one.search, figure)] if one.search else []
        except (KeyError, TypeError, AttributeError) as error:
            raise damaged(run.model(name), f"its search is not as it was written: {error!r}") from None
    return tuple(found)


def _history(name: str, record: ModelRecord) -> Curves:
    series = {
        name: tuple(record.history.get(name, ())) for name in ("loss", "accuracy", "valid_loss", "valid_accuracy")
    }
    return Curves(name, **series)


def _flow(run: RunDir) -> Json:
    """flow.json; empty where slides.csv was not made by init. Raises NotReadyError for a damaged one."""
    if not run.flow_file.exists():
        return {}
    try:
        flow: Json = read_json(run.flow_file)
        flow_steps({"steps": flow["steps"]})
        left_out_of(flow["aside"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotReadyError(
            f"{run.flow_file} is damaged ({error!r}), so what init left out is not known",
            remedy="restore it; or delete it, and the report will not say what was left out",
        ) from None
    return flow


def _slide_rows(
    run: RunDir, n_thumbnails: int, states: Sequence[SlideState], progress: Progress, stop: threading.Event
) -> tuple[SlideRow, ...]:
    rows, thumbnails = [], 0
    missing: dict[str, list[str]] = {}
    progress.begin(STAGE, len(states), len(states), "slide")
    try:
        for state in sorted(states, key=lambda one: one.slide.slide_id):
            if stop.is_set():
                raise Stopped("stopped on request while reporting", remedy="run the same command again to go on")
            tiles = read_tile_attributes(run.tiles(state.slide.slide_id))
            thumbnail = None
            if tiles is not None and thumbnails < n_thumbnails:
                thumbnail = _thumbnail(run, state.slide, missing)
                thumbnails += thumbnail is not None
            rows.append(_slide_row(state, tiles, thumbnail))
            progress.item(1)
    finally:
        progress.end()
    for why, names in missing.items():
        progress.note(f"no thumbnail of slides, {why}: {len(names):,} ({some_names(names)})")
    return tuple(rows)


def _left_out_images(run: RunDir, tiles: Sequence[SlideState]) -> Iterator[LeftOutImage]:
    """Images that are no tiles, of the patients with some."""
    for state in tiles:
        made = read_tile_attributes(run.tiles(state.slide.slide_id)) if state.left_out else None
        for image in made.images if made is not None else ():
            if reason := why_left_out(image):
                path, number = str(image.get("path", "")), str(image.get("slice", ""))
                yield LeftOutImage(state.slide.patient_id, path, number, reason, str(image.get("problem", "")))


def _slide_row(state: SlideState, tiles: TileAttributes | None, thumbnail: bytes | None) -> SlideRow:
    counts = None if tiles is None else tiles.counts
    header = SlideHeader() if tiles is None else tiles.slide
    return SlideRow(
        state.slide.slide_id,
        state.slide.patient_id,
        state.status,
        name=state.slide.name,
        planned=None if counts is None else counts.planned,
        kept=None if counts is None else counts.kept,
        background=None if counts is None else counts.background,
        unreadable=None if counts is None else counts.unreadable,
        mpp=header.mpp,
        mpp_source=header.mpp_source,
        thumbnail=thumbnail,
    )


def _thumbnail(run: RunDir, slide: Slide, missing: dict[str, list[str]]) -> bytes | None:
    """None where the slide or its store can no longer be read: added to ``missing``, the report is still made."""
    try:
        shown = kept_tiles_jpeg(run, slide, THUMBNAIL_PX)
    except SlideError as error:
        missing.setdefault(error.reason, []).append(slide.slide_id)
        return None
    if shown is None:
        missing.setdefault("their tile stores do not say where tiles lie", []).append(slide.slide_id)
    return shown


def _quarantined(state: SlideState) -> QuarantinedSlide:
    receipt = state.receipt or Receipt(state.slide.slide_id, "quarantined", "")
    detail, _, remedy = receipt.detail.partition("\nremedy: ")
    return QuarantinedSlide(state.slide.slide_id, state.stage, receipt.reason, detail, remedy)


def _times(run: RunDir, config: RunConfig, states: Sequence[SlideState]) -> tuple[StageTime, ...]:
    slide_ids = [state.slide.slide_id for state in states]
    models = model_names(config.train)
    finetuned = {f"extract {name}": name for name, head, _ in models if is_on_pixels(head)}
    features = {"extract": config.extract.name, **finetuned}
    by_stage = {
        "tile": [read_receipt(run.receipts("tile"), slide_id) for slide_id in slide_ids],
        **{
            stage: [read_receipt(run.receipts("extract", name), slide_id) for slide_id in slide_ids]
            for stage, name in features.items()
        },
        **{f"train {name}": [read_receipt(run.receipts("train"), name, "model")] for name, _, _ in models},
        **{
            stage.name: [read_receipt(run.receipts(stage.name), slide_id) for slide_id in slide_ids]
            for stage in stages_of("slide")
            if stage.key is not None
        },
        **{stage.name: [read_receipt(run.receipts(stage.name), COHORT, "cohort")] for stage in stages_of("cohort")},
        "predict": [read_receipt(run.receipts("predict"), COHORT, "cohort")],
    }
    there = {stage: [one for one in receipts if one is not None] for stage, receipts in by_stage.items()}
    return tuple(_stage_time(stage, found) for stage, found in there.items() if found)


def _stage_time(stage: str, receipts: Sequence[Receipt]) -> StageTime:
    device_time, tiles = device_time_of(receipts), _tiles(stage, receipts)
    return StageTime(
        stage,
        sum(one.seconds for one in receipts),
        tiles,
        device_time.waited_share,
        device_time.bytes_read or None,
        core_hours=None if tiles is None else hours_of_a_thousand(receipts, gpu=False),
        gpu_hours=None if tiles is None else hours_of_a_thousand(receipts, gpu=True),
        threads=threads_of(receipts),
    )


def _tiles(stage: str, receipts: Sequence[Receipt]) -> int | None:
    if stage == "tile":
        return sum(planned_tiles(receipt) for receipt in receipts)
    return sum(receipt.rows for receipt in receipts) if stage.startswith("extract") else None


def _computes(run: RunDir, name: str, states: Sequence[SlideState]) -> Iterator[Json]:
    """How the features of every slide that has some were computed."""
    for state in states:
        attributes = read_feature_attributes(run.features(name, state.slide.slide_id))
        if attributes is not None and state.status == "done":
            yield attributes.compute.as_json()


def _survival(run: RunDir, config: RunConfig) -> Json:
    """survival.json; empty where there is none. Raises NotReadyError where it is damaged, or of other tables."""
    if not (run.survival / SURVIVAL_FILE).exists():
        return {}
    record = read_survival(run)
    if record is not None and is_of_present(run, config, record):
        return record
    raise NotReadyError(
        f"{run.survival / SURVIVAL_FILE} is damaged, or of other tables or another run.toml",
        remedy=f"hypoxia-hpc survival {run.word}; or delete {run.survival}, and the report will not speak of survival",
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _provenance(
    run: RunDir,
    config: RunConfig,
    records: Mapping[str, ModelRecord],
    metrics: Json,
    states: Sequence[SlideState],
) -> Provenance:
    keys = {f"train {head}": record.key for head, record in records.items()}
    if "key" in metrics:
        keys["evaluate"] = str(metrics["key"])
    used = used_of(run)
    keys |= {f"{name}, trained in {used.model_run}": key for name, key in used.models.items()}
    compute = {name: str(value) for record in records.values() for name, value in record.compute.items()}
    installed = {one.name.lower() for one in importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in SHOWN_VERSIONS if name in installed}
    return Provenance(
        {"hypoxia_hpc": __version__, "python": platform.python_version(), **versions},
        keys,
        compute,
        render_config(config),
        config.extract.name,
        feature_compute(_computes(run, config.extract.name, states)),
    )
