"""A run directory as an object: its stages as methods, what they made as pandas frames."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from hypoxia_hpc import records
from hypoxia_hpc.api.frames import jobs_frame, metrics_frame, read_predictions, slide_row
from hypoxia_hpc.api.notebook import facts, or_words, table, words
from hypoxia_hpc.api.run_slides import RunSlide
from hypoxia_hpc.api.viewing import View, view
from hypoxia_hpc.cohorts.scores import LABEL_RULES, LabelRule
from hypoxia_hpc.cohorts.tables import read_patient_table
from hypoxia_hpc.config import RunConfig, preset
from hypoxia_hpc.config.paths import expanded
from hypoxia_hpc.errors import HypoxiaError, InputError, NotReadyError, some
from hypoxia_hpc.models.prediction_tables import reading_predictions
from hypoxia_hpc.networks.backbones.needed import torch_entry
from hypoxia_hpc.networks.runtime import prefer_torch
from hypoxia_hpc.outcomes.binary import Binary
from hypoxia_hpc.progress import NoProgress, Progress
from hypoxia_hpc.runs import directory
from hypoxia_hpc.runs.survey import survey_run
from hypoxia_hpc.stages.evaluate import evaluate
from hypoxia_hpc.stages.extract import extract
from hypoxia_hpc.stages.init import init
from hypoxia_hpc.stages.report import report
from hypoxia_hpc.stages.submit import plan_submission, submit
from hypoxia_hpc.stages.tile import tile
from hypoxia_hpc.stages.train import train
from hypoxia_hpc.workers.shares import choose_slides
from hypoxia_hpc.workers.slide_stage import StageOutcome

Unit = Literal["tile", "slide", "patient"]
FILES: Mapping[str, str] = {"tile": "tiles.parquet", "slide": "slides.csv", "patient": "patients.csv"}
METRICS_SHOWN = 40  # in a notebook
LOG = logging.getLogger("hypoxia_hpc")


class LoggedNotes(NoProgress):
    """Progress that says nothing but what the user has to know, by the logger ``hypoxia_hpc``."""

    def note(self, text: str) -> None:
        """Log a line as a warning."""
        LOG.warning(text)


@dataclass(frozen=True, slots=True)
class Submission:
    """Jobs for SLURM, as ``Run.submit`` plans or sends them.

    Attributes:
        jobs: A row for each stage: ``stage``, ``elements`` (of an array, else 1), ``nodes``, ``ranks``, ``cpus`` (of a
            rank), ``memory_mb`` (of a node), ``minutes``, ``gres``, ``partition``, and ``ids``, the numbers that SLURM
            gave (empty where nothing was sent).
        script: Text of the job script, which all jobs share.
        commands: The sbatch lines in order, for bash.
        notes: What the user should know, a sentence each.
    """

    jobs: pd.DataFrame
    script: str
    commands: tuple[str, ...]
    notes: tuple[str, ...]


class Run:
    """A run directory.

    Its methods are the stages of the command line: what is done is not done again, what is missing is an exception
    (:class:`NotReadyError`) in place of an exit code. Worker processes are spawned, so a script has to call ``tile``
    and ``extract`` below ``if __name__ == "__main__":``; a notebook need not.

    Args:
        root: The directory, with a run.toml.
        progress: Receives how far a stage is. Default: warnings alone, by the logger ``hypoxia_hpc``.

    Raises:
        InputError: There is no run.toml, or an entry in it is wrong.

    Example:
        >>> run = hx.Run("RUN")
        >>> run.tile(); run.extract(); run.train()
        >>> run.evaluate().query("set == 'test' and level == 'patient'")
    """

    def __init__(self, root: str | PathLike[str], *, progress: Progress | None = None) -> None:
        self.root = expanded(root, "Run")
        self._dir = directory.RunDir(self.root)
        self._progress: Progress = LoggedNotes() if progress is None else progress
        self._dir.config()

    @classmethod
    def init(
        cls,
        root: str | PathLike[str],
        slides: str | PathLike[str],
        *,
        study: str = "hypoxia",
        settings: Mapping[str, Any] | None = None,
        patients: str | PathLike[str] | None = None,
        scores: str | PathLike[str] | None = None,
        rule: LabelRule = "type-median",
        progress: Progress | None = None,
        **columns: Any,
    ) -> Run:
        """Make a run directory: run.toml, slides.csv and patients.csv. The same call again finds it made.

        Args:
            root: The directory to make.
            slides: Folder of slides, or a manifest (CSV with a column path).
            study: Preset that the settings come from.
            settings: Entries of run.toml that differ from it, table by table: ``{"tile": {"mpp": 1.0}}``.
            patients: CSV with the columns patient_id and label, or those of ``settings["outcome"]``. Without it and
                ``scores``, labels are the manifest's.
            scores: Table of scores, as the published one, in place of ``patients``.
            rule: How labels follow from scores: "type-median", "pan-median" or "intra".
            progress: As for the class; gets a note of what was left out, is odd, or is not used.
            columns: ``patient_column``, ``label_column``, ``score_column``: names of columns, as the command's options.

        Raises:
            InputError: Input that is wrong, or files in the directory that say something else.
            MachineError: Disk or permission.
        """
        shown: Progress = LoggedNotes() if progress is None else progress
        run, folder = directory.RunDir(expanded(root, "Run.init")), expanded(slides, "Run.init")
        tables: dict[str, Any] = {"scores": _path_of(scores), "patients": _path_of(patients), "rule": _known(rule)}
        made = init(run, preset(study, settings), folder, progress=shown, **tables, **columns)
        for note in made.notes():
            shown.note(note)
        return cls(root, progress=progress)

    @property
    def config(self) -> RunConfig:
        """run.toml, validated, as it is now: ``run.config.tile.mpp``. To change it edit the file. Raises InputError."""
        return self._dir.config()

    def tile(self, slide_ids: Sequence[str] = (), *, workers: int | None = None, retry: bool = False) -> StageOutcome:
        """Cut slides into tile stores, RUN/tiles/.

        Args:
            slide_ids: Only these slides. Default: all.
            workers: Worker processes. Default: [site] workers, else one for each core.
            retry: Try quarantined slides again.

        Returns:
            What was done: ``made``, ``found`` and ``quarantined``, a receipt for each slide (``name``, ``reason``,
            ``detail``). A slide that cannot be used is quarantined and is no exception.

        Raises:
            InputError: A wrong table, or a slide_id that slides.csv lacks.
            MachineError: Disk, permission.
            HypoxiaError: A bug on some slide, with its traceback.
        """
        slides = self._chosen(slide_ids)
        return self._checked(tile(self._dir, slides, workers=workers, retry=retry, **self._begin()))

    def extract(
        self, slide_ids: Sequence[str] = (), *, workers: int | None = None, retry: bool = False
    ) -> StageOutcome:
        """Feature vectors of the tiles, RUN/features/<name>/. Arguments and result are those of ``tile``.

        Raises:
            NotReadyError: Slides that are not tiled yet; the others are done.
            InputError, MachineError, HypoxiaError: as ``tile``; weights that are not here.
        """
        slides = self._chosen(slide_ids)
        return self._checked(extract(self._dir, slides, workers=workers, retry=retry, **self._begin()))

    def train(self) -> tuple[str, ...]:
        """Split the patients and train the models of [train] that are not trained yet, RUN/models/.

        Returns:
            The names of all models.

        Raises:
            NotReadyError: Slides without features, or damaged stores.
            InputError: Patients that cannot be split.
            MachineError: Keras has no backend, or the disk is full.
        """
        done = train(self._dir, **self._begin())
        return tuple(sorted((*done.made, *done.found)))

    def evaluate(self) -> pd.DataFrame:
        """Predict tiles, slides and patients, and measure: RUN/predictions/ and RUN/metrics.json.

        Returns:
            As ``metrics``.

        Raises:
            NotReadyError: Slides without features, models that are not trained, or damaged stores.
        """
        return metrics_frame(evaluate(self._dir, **self._begin()).metrics)

    def report(self, *, compare: Sequence[str | PathLike[str]] = ()) -> Path:
        """Write RUN/report/ anew: index.html, a page that opens offline, and its figures and thumbnails.

        Args:
            compare: Directories of runs to show beside this one: results, cohorts, settings that differ.

        Returns:
            Its path.

        Raises:
            InputError: One of ``compare`` is no run directory.
            NotReadyError: Metrics that are not of the present cohort and run.toml, of any of these runs.
        """
        named = [compare] if isinstance(compare, (str, PathLike)) else compare
        return report(self._dir, others=[Run(other)._dir for other in named], **self._begin())

    def submit(self, *, dry_run: bool = False, retry: bool = False) -> Submission:
        """Send what is not done yet as a chain of SLURM jobs.

        Args:
            dry_run: Plan only: nothing is sent or written, and no SLURM is needed.
            retry: Try quarantined slides again.

        Returns:
            The jobs; none where all is done.

        Raises:
            InputError: A value of [site.slurm] that SLURM or bash cannot take.
            MachineError: No sbatch, no image, or no answer from SLURM.
            NotReadyError: Jobs of this run are in the queue.
        """
        plan = plan_submission(self._dir, retry=retry, only_to_show=dry_run)
        sent = {} if dry_run else {job.request.stage: job.ids for job in submit(self._dir, plan)}
        return Submission(jobs_frame(plan, sent), plan.text, tuple(plan.commands()), plan.notes)

    def view(self, **options: Any) -> View:
        """Its slides in a cell of a notebook, with what the models say of their tiles over them. ``options`` and errors
        are those of :func:`hypoxia_hpc.view`."""
        return view(self.root, **options)

    @property
    def slides(self) -> pd.DataFrame:
        """The slides, a row each.

        Returns:
            Index ``slide_id``; columns ``patient_id``, ``path``, ``mpp`` (slides.csv's, µm per pixel, NaN where it has
            none), ``cost`` (milliseconds of one core to tile it), ``name``, and how far it is by the present run.toml:
            ``status`` ("done", "todo", "quarantined"), ``stage`` (that it is done, to do or quarantined in: "extract",
            or "tile", which comes before it), ``reason`` (of a quarantine, else ""). Where the weights are not on this
            machine nothing is known of "extract".

        Raises:
            InputError: A wrong table.
        """
        states = survey_run(self._dir).furthest
        return pd.DataFrame([slide_row(state) for state in states]).set_index("slide_id")

    @property
    def patients(self) -> pd.DataFrame:
        """The patients of patients.csv: ``patient_id``, ``tumour_type`` and its other columns as text, but the column
        of one of two classes, [outcome], as 0, 1 or NA (Int64). Raises InputError."""
        outcome = self._dir.outcome()
        table = read_patient_table(self._dir.patients_file, outcome=outcome)
        if not isinstance(outcome, Binary):
            return table
        labels = [outcome.parse((cell,)) for cell in table[outcome.table.column]]
        return table.assign(**{outcome.table.column: pd.Series(labels, index=table.index, dtype="Int64")})

    @property
    def metrics(self) -> pd.DataFrame:
        """The metrics of ``evaluate``, a row each, sorted by the first four columns.

        Returns:
            Columns ``model``, ``set`` ("train", "valid", "test"), ``level`` ("tile", "slide", "patient"), ``metric``,
            ``value``, ``low``, ``high`` (NaN where it is not defined) and ``n`` (rows).

        Raises:
            NotReadyError: There are none, or metrics.json is damaged.
        """
        metrics = self._dir.metrics()
        if metrics is None:
            raise NotReadyError(f"{self._dir.metrics_file} is not there, or damaged", remedy="run.evaluate()")
        return metrics_frame(metrics)

    def predictions(self, level: Unit = "patient") -> pd.DataFrame:
        """The predictions of ``evaluate``.

        Args:
            level: "tile", "slide" or "patient".

        Returns:
            A row for each model and tile, slide or patient: ``model``, ``fold``, ``set``, what is known and what the
            model says. That is ``label`` (Int64: 0 or 1) and ``probability`` (of 1, 0 to 1); of more classes ``label``
            (Int64: from 0) and ``probability_NAME`` of each; of a score ``label`` and ``predicted``; of survival
            ``time``, ``event`` and ``risk``. What is not known is NA. Slides and patients have ``id`` and ``n_tiles``,
            and of classes ``calibrated`` probabilities and the ``call``, a class by its name (of two, by
            ``threshold``); tiles have ``slide_id``, ``patient_id``, ``x_l0``, ``y_l0`` and ``attention`` (0 to 1, NaN
            for models without).

        Raises:
            InputError: Another level.
            NotReadyError: There are none yet.
        """
        if level not in get_args(Unit):
            raise InputError(f"level = {level!r} is none of {', '.join(get_args(Unit))}", remedy="choose one of them")
        file = self._dir.predictions / FILES[level]
        if not file.exists():
            raise NotReadyError(f"{file} does not exist", remedy="run.evaluate()")
        if level != "tile":
            return read_predictions(file, self._dir.outcome())
        with reading_predictions(file) as opened:
            return pd.read_parquet(opened)

    def __getitem__(self, slide_id: str) -> RunSlide:
        """A slide by its id. Raises InputError where slides.csv lacks it."""
        [slide] = choose_slides(self._dir.slides(), records.Share(), [slide_id])
        return RunSlide(slide.slide_id, slide.path, slide.patient_id, slide.mpp, self._dir)

    def __iter__(self) -> Iterator[str]:
        """The slide ids in the order of slides.csv."""
        return (slide.slide_id for slide in self._dir.slides())

    def __len__(self) -> int:
        return len(self._dir.slides())

    def __repr__(self) -> str:
        return f"<Run {self.root}: {some(len(self), 'slide')}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: how far the slides are, and the metrics of patients."""
        return words(f"Run {self.root}") + or_words(self._state_html) + or_words(self._metrics_html)

    def _state_html(self) -> str:
        slides = self.slides
        counts = Counter(zip(slides["stage"], slides["status"], strict=True))
        return facts((f"{stage}: {status}", some(n, "slide")) for (stage, status), n in sorted(counts.items()))

    def _metrics_html(self) -> str:
        if not self._dir.metrics_file.exists():
            return words("No metrics yet: run.evaluate().")
        shown = self.metrics.query("level == 'patient' and set not in ('train', 'valid')")
        if not len(shown):
            return words("No metrics of test patients.")
        rows = (
            (one.model, one.set, one.metric, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}", one.n)
            for one in shown.head(METRICS_SHOWN).itertuples()
        )
        more = f"{len(shown) - METRICS_SHOWN:,} more in run.metrics." if len(shown) > METRICS_SHOWN else ""
        return table(("model", "set", "metric", "value", "interval", "n"), rows) + (words(more) if more else "")

    def _chosen(self, slide_ids: Sequence[str]) -> list[records.Slide]:
        return choose_slides(self._dir.slides(), records.Share(), slide_ids)

    def _begin(self) -> dict[str, Any]:
        """What every stage is given, once the backend is the one that the networks of this run need."""
        prefer_torch(torch_entry(self._dir.config()))
        return {"progress": self._progress, "stop": threading.Event()}

    def _checked(self, outcome: StageOutcome) -> StageOutcome:
        """Raises HypoxiaError for bugs, NotReadyError for slides that an earlier stage has not done."""
        if outcome.bugs:
            raise HypoxiaError(
                f"{outcome.stage}: internal error on {some(len(outcome.bugs), 'slide')}, a bug of hypoxia_hpc",
                offending=[f"{bug.name}: {bug.detail}" for bug in outcome.bugs],
                remedy="report it with the lines above; the other slides are done",
            )
        if outcome.not_ready:
            raise NotReadyError(
                f"{outcome.stage}: slides without tiles yet: {len(outcome.not_ready)}",
                offending=[receipt.name for receipt in outcome.not_ready],
                remedy="run.tile()",
            )
        return outcome


def _path_of(file: str | PathLike[str] | None) -> Path | None:
    return None if file is None else expanded(file, "Run.init")


def _known(rule: LabelRule) -> LabelRule:
    if rule not in LABEL_RULES:
        raise InputError(f"rule = {rule!r} is not known", remedy=f"choose one of: {', '.join(LABEL_RULES)}")
    return rule
