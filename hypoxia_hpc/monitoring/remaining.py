"""What a run still needs: slides of each stage, and stages that see the whole cohort."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, replace

from hypoxia_hpc.errors import MachineError, NotReadyError, some
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.rates import Figure, mean_of, measured, seconds_per_cost, telling, tiles_kept
from hypoxia_hpc.runs.stages import stage_named, stages_of, way_to
from hypoxia_hpc.runs.state import SlideState, require_ready
from hypoxia_hpc.runs.survey import Survey, cohort_progress, survey_run
from hypoxia_hpc.slurm.resources import gpus_of, table_of
from hypoxia_hpc.workers.slide_stage import TRIED_AGAIN


@dataclass(frozen=True, slots=True)
class Remaining:
    """Ids of the slides to do in each stage, the pace of each as far as it was measured (seconds of a core, or of a
    GPU, per unit of cost), tiles of the whole cohort as far as is known, later stages to do, and what the user should
    know."""

    slides: dict[str, frozenset[str]]
    pace: dict[str, Figure]
    n_tiles: float
    stages: tuple[str, ...]
    notes: tuple[str, ...]

    def within(self, chosen: Sequence[str], *, after_job: bool = False) -> Remaining:
        """What of it belongs to these stages, in their order. Raises NotReadyError where the first of them needs what
        is to do and not among them, unless it begins ``after_job``, which may do it."""
        if not after_job:
            self._require_ready(chosen[0])
        slides = {stage: ids for stage, ids in self.slides.items() if stage in chosen}
        return replace(self, slides=slides, stages=tuple(stage for stage in self.stages if stage in chosen))

    def _require_ready(self, first: str) -> None:
        """A stage that sees the whole cohort needs all before it, one that goes slide by slide some slides."""
        before = [stage.name for stage in way_to(first)[:-1]]
        todo = {stage: ids for stage in before if (ids := self.slides.get(stage))}
        own, untouched = self.slides.get(first, frozenset()), frozenset[str]().union(*todo.values())
        lacking = [f"{stage}: {some(len(ids), 'slide')} to do" for stage, ids in todo.items()]
        lacking += [f"{stage}: to do" for stage in before if stage in self.stages]
        if lacking and (stage_named(first).unit == "cohort" or (own and own <= untouched)):
            raise NotReadyError(
                f"{first} cannot be done yet, for what it needs is not there and not sent",
                offending=lacking,
                remedy=f"send them, too (--from {lacking[0].partition(':')[0]}); if a job makes them, wait for it "
                "(--after JOBID)",
            )


def remaining(
    run: RunDir, *, retry: bool, only_to_show: bool = False, chosen: Collection[str] | None = None
) -> Remaining:
    """What is neither done nor held in quarantine; with ``retry`` what is held counts, too.

    Raises what ``run_spec`` does; missing weights are no error where an image is set, for it may have them, nor where
    this is ``only_to_show``: the node that computes may have them; nor where ``tile`` alone is ``chosen``.
    """
    survey = survey_run(run)
    notes = () if chosen == ("tile",) else _notes(survey, only_to_show)
    own = {stage: _remaining_of(states, retry) for stage, states in survey.by_stage.items()}
    if survey.unknown is not None:
        own["extract"] = _remaining_of(survey.tiles, retry) | _not_held(survey.tiles)
    todo: dict[str, frozenset[str]] = {}
    if survey.config.extract.imported:
        require_ready(run, survey.features, survey.config)
    for stage in stages_of("slide", survey.config):  # in their order: what a stage needs comes before it
        todo[stage.name] = own[stage.name].union(*(todo[need] for need in stage.needs if need in todo))
    receipts = {stage: _receipts(stage, states) for stage, states in survey.by_stage.items()}
    config, costs = survey.config, survey.costs
    told = telling(costs, mean_of(costs.values()))
    return Remaining(
        todo,
        {
            stage: seconds_per_cost(
                stage, found, told, config, gpu=gpus_of(table_of(stage, config.site.slurm).gres) > 0
            )
            for stage, found in receipts.items()
        },
        n_tiles=sum(costs.values()) * (measured(receipts["tile"], told, _rows) or tiles_kept(config.tile)).value,
        stages=cohort_stages(survey, {stage for stage, ids in todo.items() if ids}),
        notes=notes,
    )


def _notes(survey: Survey, only_to_show: bool) -> tuple[str, ...]:
    """What follows from an unknown spec. Raises the reason for it where nothing can help."""
    unknown, has_image = survey.unknown, survey.config.site.slurm.image is not None
    if unknown is None:
        return ()
    if not isinstance(unknown, MachineError) or not (has_image or only_to_show):
        raise unknown
    who = "perhaps the image has them" if has_image else f"submit itself needs them here: {unknown.remedy}"
    return (f"{unknown.problem}; {who}. What is extracted already is not known here",)


def _remaining_of(states: Sequence[SlideState], retry: bool) -> frozenset[str]:
    return frozenset(
        one.slide.slide_id
        for one in states
        if one.status == "todo" or (one.status == "quarantined" and (retry or _is_tried_again(one)))
    )


def _is_tried_again(state: SlideState) -> bool:
    return state.receipt is not None and state.receipt.reason in TRIED_AGAIN


def _not_held(states: Sequence[SlideState]) -> frozenset[str]:
    return frozenset(one.slide.slide_id for one in states if one.status != "quarantined")


def _receipts(stage: str, states: Sequence[SlideState]) -> list[Receipt]:
    return [one.receipt for one in states if one.stage == stage and one.receipt is not None]


def _rows(receipt: Receipt) -> float:
    return receipt.rows


def cohort_stages(survey: Survey, waiting: Set[str]) -> tuple[str, ...]:
    """The stages after the slides: from the first that is to do, or needs one that is ``waiting``, for the later ones
    are made of its results. None for a run without labels."""
    if not survey.is_labelled:
        return ()
    cohort = stages_of("cohort", survey.config)
    if not waiting & set(cohort[0].needs):
        progress = cohort_progress(survey)
        waiting = waiting | {name for name, (done, of) in progress.done.items() if done < of}
    first = next((n for n, stage in enumerate(cohort) if waiting & {stage.name, *stage.needs}), len(cohort))
    return tuple(stage.name for stage in cohort[first:])
