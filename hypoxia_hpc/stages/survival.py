"""survival: follow-up and phenotypes, predictions or columns -> a signature, made on discovery patients and frozen, and
what it is worth there and in all others; survival/."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hypoxia_hpc.cohorts.csvfiles import csv_text
from hypoxia_hpc.config import RunConfig
from hypoxia_hpc.config.survival import SurvivalTable
from hypoxia_hpc.errors import InputError, NotReadyError, Stopped
from hypoxia_hpc.evaluation.candidates import candidates_of
from hypoxia_hpc.evaluation.endpoints import Assessed, Frozen, apply, discover
from hypoxia_hpc.evaluation.prognosis import Watch
from hypoxia_hpc.evaluation.signature import NUMBERS, signature_of
from hypoxia_hpc.models.makers import refuse_other_makers
from hypoxia_hpc.progress import Progress
from hypoxia_hpc.records import Json
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import is_predicted
from hypoxia_hpc.runs.prognosis import (
    CURVES_FILE,
    HAZARDS_FILE,
    RISKS_FILE,
    SURVIVAL_FILE,
    Applied,
    Inputs,
    content_of,
    maker_of,
    read_inputs,
    read_survival,
    require_asked,
    survival_key,
)
from hypoxia_hpc.runs.receipts import keep_receipt, timed_receipt
from hypoxia_hpc.runs.survey import phenotypes_doubt
from hypoxia_hpc.stores.commit import committing_directory
from hypoxia_hpc.stores.sealing import seal_problems

STAGE = "survival"


@dataclass(frozen=True, slots=True)
class Survived:
    """The content of survival.json, and whether it was made now."""

    content: Json
    fresh: bool


def survival(run: RunDir, *, model_run: RunDir | None = None, progress: Progress, stop: threading.Event) -> Survived:
    """Make the signature of each endpoint and measure it; with ``model_run`` apply that run's frozen ones, with their
    columns and their cut. Writes survival/.

    Raises:
        InputError: [survival] does not say what to do, in an outside cohort a frozen signature's result that would be
            replaced; columns that are missing, times or events that are none;
            phenotypes or predictions by other models than those of ``model_run``, or of other tiles or features.
        NotReadyError: phenotypes or predictions that are not there, a ``model_run`` without signatures.
        Stopped: on request.
    """
    config = run.config()
    frozen = None if model_run is None else _frozen(model_run)
    held = read_survival(run)
    if frozen is None:
        require_asked(run, config.survival)
        if note := _other_columns(config):
            progress.note(note)
        _refuse_to_replace(run, held)
        if config.survival.of == "phenotypes" and not is_predicted(run) and (doubt := phenotypes_doubt(run)):
            progress.note(doubt)
    of = config.survival.of if frozen is None else frozen.of
    inputs = read_inputs(run, config, of, None if frozen is None else frozen.applied)
    if model_run is not None and frozen is not None:
        refuse_other_makers(run, inputs.made_by, model_run, frozen.applied.made_by)
    key = survival_key(config, inputs, "" if frozen is None else frozen.key)
    if held is not None and held["key"] == key and not seal_problems(run.survival):
        keep_receipt(run.receipts(STAGE), key)
        return Survived(held, fresh=False)
    with timed_receipt(run.receipts(STAGE), key):
        found = _assessed(inputs, config, frozen, progress, stop)
        content: Json = {"schema": 1, "key": key, "of": of, "time_unit": config.survival.time_unit}
        content |= {"cut": config.survival.cut, "settings": config.survival.model_dump(mode="json")}
        content |= {"model_run": "" if model_run is None else model_run.root.absolute().name}
        content["made_by"] = {"head": inputs.made_by.head, "models": dict(inputs.made_by.keys)}
        content |= {"used": "" if frozen is None else frozen.key, "confidence": config.evaluate.confidence}
        content["endpoints"] = {name: {**one.content, **_as_json(one.frozen)} for name, one in found.items()}
        content["content"] = content_of(content)
        _write(run, content, found, inputs)
    return Survived(content, fresh=True)


def _other_columns(config: RunConfig) -> str:
    """Where [outcome] and [survival] name different columns: the sentence that says so, else empty."""
    outcome, table = config.outcome, config.survival
    endpoints = list(zip(table.times, table.events, strict=True))
    if outcome.kind != "survival" or outcome.columns in endpoints:
        return ""
    said = "; ".join(f"{time} and {event}" for time, event in endpoints)
    return (
        f"[survival] goes by {said}, and [outcome], which the split and the models go by, by "
        f"{' and '.join(outcome.columns)}; for the same, take times and events out of [survival]"
    )


def _refuse_to_replace(run: RunDir, held: Json | None) -> None:
    """What a frozen signature says of an outside cohort is not lost to one that is made on that cohort."""
    if held is not None and held["used"] and is_predicted(run):
        raise InputError(
            f"{run.survival} has what the frozen signature of {held['model_run']} says of these patients, and a "
            "signature made on them would take its place",
            remedy=f"for the frozen one: hypoxia-hpc survival {run.word} --model MODEL_RUN; for one of their own, "
            f"delete {run.survival} before",
        )


@dataclass(frozen=True, slots=True)
class _Used:
    """What another run's survival.json leaves for this one: by endpoint, in the order of its [survival] times."""

    key: str
    of: str
    applied: Applied
    endpoints: Mapping[str, Frozen]

    def of_times(self, times: Sequence[str]) -> list[Frozen]:
        """For columns of times: those of the same names; where one has another name, all go by their order."""
        if set(times) <= set(self.endpoints):
            return [self.endpoints[name] for name in times]
        return list(self.endpoints.values())[: len(times)]


def _assessed(
    inputs: Inputs, config: RunConfig, used: _Used | None, progress: Progress, stop: threading.Event
) -> dict[str, Assessed]:
    """Every endpoint by the name of its column of times."""
    table, found = config.survival, {}
    confidence, seed = config.evaluate.confidence, config.evaluate.seed
    if used is not None:
        _require_endpoints(table, used)
    progress.begin(STAGE, len(table.times), len(table.times), "endpoint")
    try:
        for number, name in enumerate(table.times):
            if stop.is_set():
                raise Stopped("stopped on request", remedy="run the same command again to go on")
            if used is None:
                found[name] = discover(inputs.source, inputs.sets, table, number, confidence, seed)
            else:
                frozen = used.of_times(table.times)[number]
                found[name] = apply(inputs.source, inputs.sets, table, number, confidence, frozen)
            progress.item(1)
    finally:
        progress.end()
    return found


def _require_endpoints(table: SurvivalTable, used: _Used) -> None:
    if len(table.times) > len(used.endpoints):
        raise InputError(
            f"[survival] times has {len(table.times)} endpoints, and the signatures are of "
            f"{len(used.endpoints)}: {', '.join(used.endpoints)}",
            remedy="name the columns of these, in their order",
        )


def _frozen(model_run: RunDir) -> _Used:
    record = read_survival(model_run)
    remedy = f"hypoxia-hpc survival {model_run.word}"
    if record is None:
        raise NotReadyError(f"{model_run.survival / SURVIVAL_FILE} is not there, or damaged", remedy=remedy)
    try:
        # Not in the order of the file, which is that of the alphabet.
        endpoints = {str(name): _frozen_of(record["endpoints"][name]) for name in record["settings"]["times"]}
        return _Used(record["key"], str(record["of"]), Applied(maker_of(record), model_run.word), endpoints)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"{model_run.survival / SURVIVAL_FILE} is damaged: {error!r}"
        raise NotReadyError(problem, remedy=f"delete {model_run.survival}, then {remedy}") from None


def _frozen_of(document: Json) -> Frozen:
    signature = None if document["signature"] is None else signature_of(document["signature"])
    watch = Watch(*(tuple(float(one) for one in document["watch"][name]) for name in Watch._fields))
    candidates = candidates_of(document["candidates"])
    if signature is not None and not set(signature.columns) <= set(candidates.names):
        raise ValueError("a signature of columns that are none of its candidates")
    return Frozen(candidates, signature, watch, float(document["spread"]), str(document["why"]))


def _as_json(frozen: Frozen) -> Json:
    return {
        "candidates": frozen.candidates.as_json(),
        "signature": None if frozen.signature is None else frozen.signature.as_json(),
        "watch": {name: list(one) for name, one in zip(Watch._fields, frozen.watch, strict=True)},
        "spread": frozen.spread,
        "why": frozen.why,
    }


def _write(run: RunDir, content: Json, found: Mapping[str, Assessed], inputs: Inputs) -> None:
    with committing_directory(run.survival, lambda _: False) as folder:
        for name, rows in (
            (HAZARDS_FILE, _hazards(content)),
            (CURVES_FILE, _curves(content)),
            (RISKS_FILE, _risks(found, inputs)),
        ):
            (folder / name).write_text(csv_text(pd.DataFrame(rows)), encoding="utf-8")
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        (folder / SURVIVAL_FILE).write_text(text + "\n", encoding="utf-8")


def _hazards(content: Json) -> list[Json]:
    """Each column by itself and together with others, in one table."""
    rows = []
    for endpoint, one in content["endpoints"].items():
        for kind, hazards in (("alone", one.get("screen", ())), ("together", one.get("hazards", ()))):
            for row in hazards:
                numbers = {name: row[name] for name in NUMBERS}
                rows.append({"endpoint": endpoint, "model": kind, "column": row["name"], **numbers, "q": row.get("q"),
                             "left_out_because": row.get("why", "")})  # fmt: skip
    return rows or [dict.fromkeys(("endpoint", "model", "column", *NUMBERS, "q", "left_out_because"), "")]


def _curves(content: Json) -> list[Json]:
    """Steps of the Kaplan-Meier curves."""
    return [
        {"endpoint": endpoint, "set": name, "group": group, **dict(zip(each["curve"], step, strict=True))}
        for endpoint, one in content["endpoints"].items()
        for name, measured in one["sets"].items()
        for group, each in measured.get("groups", {}).items()
        for step in zip(*each["curve"].values(), strict=True)
    ] or [{"endpoint": "", "set": "", "group": ""}]


def _risks(found: Mapping[str, Assessed], inputs: Inputs) -> list[Json]:
    """The risk and the group of every patient who has one."""
    sets = dict(zip(inputs.source.patient_ids, inputs.sets, strict=True))
    return list(_risk_rows(found, sets)) or [{"endpoint": "", "patient_id": "", "set": "", "risk": "", "group": ""}]


def _risk_rows(found: Mapping[str, Assessed], sets: Mapping[str, str]) -> Iterator[Json]:
    for endpoint, one in found.items():
        cut = 0.0 if one.frozen.signature is None else one.frozen.signature.cut
        for name, risk in sorted(one.risks.items()):
            group = "high" if risk > cut else "low"
            yield {"endpoint": endpoint, "patient_id": name, "set": sets[name], "risk": risk, "group": group}
