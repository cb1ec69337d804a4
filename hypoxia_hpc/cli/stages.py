"""The verbs of stages: slide by slide, in shares and over the ranks of an MPI job, or of the whole cohort."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hypoxia_hpc.cli.exits import EXIT_BUG, EXIT_NOT_READY, EXIT_QUARANTINED, EXIT_STOPPED, tell_end, worst
from hypoxia_hpc.cli.options import RUN, STOP, existing_run, per_slide, progress, trained_run
from hypoxia_hpc.cli.terminal import say, tell
from hypoxia_hpc.cli.text.stages import outcome_line, quarantined_text, reasons, remarks_text, result_text
from hypoxia_hpc.errors import InputError, Stopped, some, some_names
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.reading import MOST_TABLE_BYTES, UnfitFileError, read_plain
from hypoxia_hpc.runs.stages import registry

if TYPE_CHECKING:
    from hypoxia_hpc.records import Receipt, Slide
    from hypoxia_hpc.runs.directory import RunDir
    from hypoxia_hpc.runs.stages import Stage
    from hypoxia_hpc.workers.allocation import Allocation
    from hypoxia_hpc.workers.mpi import Ranks
    from hypoxia_hpc.workers.slide_stage import StageOutcome

COMPARE = click.option(
    "--compare",
    "others",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN_B",
    help="Show this run beside RUN: results, cohorts, settings that differ. Repeatable.",
)
FROZEN = click.option(
    "--model",
    "model_run",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="OTHER_RUN",
    help="Apply the frozen signatures of this run, with their columns and their cut, and fit nothing.",
)
# How long another rank waits for the first to say what is wrong for all of them. Shorter, and all say it where ranks do
# not start together; longer, and an error of this rank alone is said later.
SECONDS_FOR_THE_FIRST = 2.0


def stage_verb(stage: Stage) -> click.Command:
    """The verb of a stage."""
    if stage.unit == "slide":

        def do(run: Path, **options: Any) -> int:
            with set_aside(run) as aside:
                return by_slide(stage, run, aside, **options)

        return click.command(name=stage.name, help=stage.help)(RUN(per_slide(do)))

    def do_cohort(run: Path) -> int:
        from hypoxia_hpc.runs.made_by import OF_OWN_MODELS, refuse_predicted

        run_dir = existing_run(run)
        if stage.name in OF_OWN_MODELS:
            refuse_predicted(run_dir, stage.name)
        return of_cohort(stage, run_dir)

    def do_report(run: Path, others: Sequence[Path]) -> int:
        return of_cohort(stage, existing_run(run), others=[existing_run(other) for other in others])

    def do_survival(run: Path, model_run: Path | None) -> int:
        model = None if model_run is None else trained_run(model_run)
        return of_cohort(stage, existing_run(run), model_run=model)

    work: Callable[..., int] = do_cohort
    if stage.name == "report":
        work = COMPARE(do_report)
    elif stage.name == "survival":
        work = FROZEN(do_survival)
    return click.command(name=stage.name, help=stage.help)(RUN(work))


def of_cohort(stage: Stage, run_dir: RunDir, **options: Any) -> int:
    """A stage that sees the whole cohort."""
    say(result_text(stage.name, stage.do(run_dir, **options, progress=progress(), stop=STOP)))
    return 0


class SetAside:
    """The slides that stages put in quarantine or found there, each in the first stage that says so."""

    def __init__(self) -> None:
        self.outcomes: list[StageOutcome] = []

    def text(self, run: Path) -> Iterator[str]:
        """What the user has not read of them, and what to do: each reason once."""
        found: dict[str, tuple[str, Receipt]] = {}
        for outcome in self.outcomes:
            for receipt in outcome.quarantined:
                found.setdefault(receipt.name, (outcome.stage if receipt.key else "an earlier stage", receipt))
        told = {name for outcome in self.outcomes for name in outcome.told}
        if found and len(self.outcomes) > 1:
            yield f"\n{some(len(found), 'slide')} quarantined: {reasons(receipt for _, receipt in found.values())}"
        whole = f"hypoxia-hpc status {shlex.quote(str(run))} --json has all"
        yield from quarantined_text(found.values(), told=told, all_of_them=whole)


@contextmanager
def set_aside(run: Path) -> Iterator[SetAside]:
    """For one or more stages; at their end, an error too, the slides that were set aside are said."""
    aside = SetAside()
    try:
        yield aside
    finally:
        for block in aside.text(run):
            say(block)


def by_slide(
    stage: Stage,
    run: Path,
    aside: SetAside,
    *,
    share: str = "0/1",
    wanted: Sequence[str] = (),
    slides_from: Path | None = None,
    workers: int | None = None,
    mpi: bool = False,
    retry: bool = False,
) -> int:
    """A stage over the slides that the options name; the exit code, the same on every rank. What it sets aside is added
    to ``aside``, on the first rank."""
    from hypoxia_hpc.workers.processes import started_ahead

    def on_rank(ranks: Ranks | None) -> int:
        from hypoxia_hpc.workers.allocation import Allocation
        from hypoxia_hpc.workers.shares import choose_slides, parse_share

        run_dir = existing_run(run)
        ids = [*wanted, *_ids_in(slides_from)] if slides_from is not None else wanted
        allocation = Allocation(parse_share(share), ranks)
        slides = choose_slides(run_dir.slides(), allocation.share, ids)
        return _on_slides(stage, run_dir, slides, aside, allocation, workers=workers, retry=retry)

    with started_ahead(stage.worker_modules):
        return on_all_ranks(on_rank) if mpi else on_rank(None)


def _on_slides(
    stage: Stage, run: RunDir, slides: Sequence[Slide], aside: SetAside, allocation: Allocation, **options: Any
) -> int:
    shown = progress() if allocation.rank == 0 else NoProgress()
    outcome = stage.do(run, slides, **options, progress=shown, stop=STOP, allocation=allocation)
    if allocation.rank:
        return 0
    aside.outcomes.append(outcome)
    return _say_outcome(stage, outcome, run.root)


def on_all_ranks(work: Callable[[Ranks], int]) -> int:
    """Do it on every rank of this MPI job; the exit code, the same on all of them. What goes wrong on one of them ends
    them all: those that wait for it would wait for ever."""
    from hypoxia_hpc.stores.commit import machine_errors
    from hypoxia_hpc.workers.mpi import joined_ranks

    ranks = joined_ranks()
    try:
        with machine_errors(Path.cwd()):
            code = work(ranks)
    except Stopped as stopped:  # all of them
        code = tell_end(stopped) if ranks.rank == 0 else EXIT_STOPPED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the border of the program
        # What is wrong for all of them is said once, by the first.
        heard = ranks.code_of_the_first(SECONDS_FOR_THE_FIRST if ranks.rank else 0)
        code = tell_end(error, f" on {ranks}") if heard is None else heard
        if heard is None:
            ranks.abort(code)
    return ranks.finalize(code)


def _say_outcome(stage: Stage, outcome: StageOutcome, run: Path) -> int:
    """What a stage did; its exit code."""
    say(outcome_line(outcome))
    for block in _remarks(outcome):
        say(block)
    origin = registry().origins.get(stage.name)
    whose = "internal error" if origin is None else f"error of {origin}, which is not of hypoxia_hpc,"
    for bug in outcome.bugs:
        tell(f"{whose} on {bug.name}:\n{bug.detail}")
    if outcome.not_ready:
        tell(f"not ready: {some_names([receipt.name for receipt in outcome.not_ready])}")
        tell(f"remedy: {' and '.join(f'hypoxia-hpc {need} {shlex.quote(str(run))}' for need in stage.needs)}")
    return worst(
        [
            EXIT_BUG if outcome.bugs else 0,
            EXIT_NOT_READY if outcome.not_ready else 0,
            EXIT_QUARANTINED if outcome.quarantined else 0,
        ]
    )


def _remarks(outcome: StageOutcome) -> Iterator[str]:
    """What is odd about slides that ``tile`` cut all the same."""
    from hypoxia_hpc.records import TileWork
    from hypoxia_hpc.tiling.remarks import by_kind, left_out_images

    receipts = (*outcome.made, *outcome.found)
    work = [(one.name, one.details) for one in receipts if isinstance(one.details, TileWork)]
    odd = by_kind((name, details.remarks) for name, details in work)
    return remarks_text(odd | left_out_images((name, details.left_out) for name, details in work))


def _ids_in(file: Path) -> list[str]:
    try:
        lines = read_plain(file, MOST_TABLE_BYTES).decode("utf-8").split("\n")
    except UnfitFileError as error:
        raise InputError(f"--slides-from {error.problem}", remedy="give a text file with one slide id a line") from None
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError) as error:
        why = f"is no text in UTF-8 ({error.reason})" if isinstance(error, UnicodeDecodeError) else "does not exist"
        raise InputError(f"--slides-from {file} {why}", remedy="give a text file with one slide id a line") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise InputError(f"--slides-from {file} names no slide", remedy="write one slide id a line")
    return ids
