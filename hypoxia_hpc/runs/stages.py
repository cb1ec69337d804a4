"""The stages of a run, in their order. A stage is one module, and one line in `STAGES`; one of another package is an
entry point of the group ``hypoxia_hpc.stages`` that names a `Stage`.

Functions are named by ``module:function``, so that the list is read without importing what stages need.
"""

from __future__ import annotations

import pkgutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hypoxia_hpc.config.plugins import added
from hypoxia_hpc.errors import HypoxiaError, InputError
from hypoxia_hpc.stores.commit import machine_errors

if TYPE_CHECKING:
    from hypoxia_hpc.config import RunConfig

GROUP = "hypoxia_hpc.stages"
Unit = Literal["slide", "cohort"]
# What no stage can be called: verbs that are none.
OTHER_VERBS = (
    *("demo", "init", "labels", "run", "predict", "estimate", "submit", "status", "slurm", "image"),
    *("doctor", "verify", "weights", "site", "cancel", "normalise", "export", "maps", "view", "backbones"),
    *("import-features", "preview", "quality", "gallery", "bench"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    ``name`` is its verb and the folder of its receipts. ``unit``: does it go slide by slide, in parts that share no
    work, or does it see the whole cohort? ``needs``: stages that come before. ``device``: ``gpu`` where it gains from
    one; submit gives such a stage the GPUs of [site.slurm], if any. ``help``: for --help, one line first.

    ``work``: the function that does it. Slide by slide: ``(run, slides, *, workers, retry, progress, stop, allocation)
    -> StageOutcome``, as `workers.slide_stage.work_through` makes it; else ``(run, *, progress, stop) -> object``,
    which is printed.

    ``key``: the function that tells the key which the receipt of a current result has, for stages that are judged by
    their receipts. Slide by slide: ``(run, slide_state) -> str``, the state in the stage it needs; else ``(run,
    feature_states) -> str``, of the receipt ``cohort``. None in `STAGES` alone: `runs.state` and `monitoring.status`
    look at the results themselves. ``result``: the JSON file below RUN whose entry ``key`` has to say the same as the
    receipt, if any. ``labelled``: there is nothing to do for it where no patient has a label. ``asked``: the entry of
    run.toml, as ``phenotypes.make``, that has to be true for `run` and `submit` to do it; its own verb does it in any
    case.

    ``worker_modules``: of one that goes slide by slide, what its worker processes import in any case. The first of them
    is started before run.toml is read, and imports these meanwhile.

    ``cost``: of one that sees the whole cohort, the function that tells what it takes, ``(config, cohort_size) ->
    StageCost``; None where that is not known.
    """

    name: str
    unit: Unit
    needs: tuple[str, ...]
    device: Literal["cpu", "gpu"]
    work: str
    help: str
    key: str | None = None
    result: str = ""
    labelled: bool = False
    cost: str | None = None
    asked: str = ""
    worker_modules: tuple[str, ...] = ()

    def is_asked(self, config: RunConfig) -> bool:
        """Is it a part of this run?"""
        return not self.asked or bool(attrgetter(self.asked)(config))

    def do(self, *arguments: Any, **options: Any) -> Any:
        """Call ``work``. Raises what it raises; of a stage of another package InputError for what looks like a bug."""
        with _errors_told(self.name, self.work):
            return pkgutil.resolve_name(self.work)(*arguments, **options)

    def expected_key(self, *arguments: Any) -> str:
        """Call ``key``. Raises as :meth:`do`."""
        if self.key is None:
            raise ValueError(f"{self.name} is not judged by its receipts")
        with _errors_told(self.name, self.key):
            return str(pkgutil.resolve_name(self.key)(*arguments))

    def cost_of(self, *arguments: Any) -> Any:
        """Call ``cost``; None where there is none. Raises as :meth:`do`."""
        if self.cost is None:
            return None
        with _errors_told(self.name, self.cost):
            return pkgutil.resolve_name(self.cost)(*arguments)


@contextmanager
def _errors_told(name: str, function: str) -> Iterator[None]:
    """What goes wrong in a function of another package is no bug of this one, and says whose it is."""
    try:
        with machine_errors(Path.cwd()):
            yield
    except HypoxiaError:
        raise
    except Exception as error:
        if (origin := registry().origins.get(name)) is None:
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the stage {name!r} is not of hypoxia_hpc: {origin} adds it, and its {function} fails: "
            f"{type(error).__name__}: {' '.join(str(error).split())}",
            offending=[f"{place.filename}:{place.lineno} in {place.name}"],
            remedy="mend that package, install it again, or uninstall it",
        ) from error


_SURVIVAL_HELP = """Who lives longer, by phenotypes, predictions or any column: RUN/survival/.

In run.toml, for risks made of columns of patients.csv (or of = "phenotypes", of = "predictions"):

\b
  [survival]
  of = "columns"
  columns = ["age", "stage"]
  times = ["os_months"]
  events = ["os_status"]
  event_words = ["DECEASED"]
  censored_words = ["LIVING"]

Columns that these patients cannot carry are left out, and named, before anything is fitted. What is left makes a Cox
model on the patients of training and validation alone, and a cut between high and low risk; both are frozen and applied
to the patients of test, and with --model to those of another cohort. [survival] makes it a part of `run` and `submit`.
"""

STAGES = (
    Stage(
        "tile",
        "slide",
        (),
        "cpu",
        "hypoxia_hpc.stages.tile:tile",
        "Cut slides into tile stores: RUN/tiles/<slide_id>.zarr.",
        asked="extract.is_made_here",
        worker_modules=("hypoxia_hpc.stages.tile", "hypoxia_hpc.slides.slide_tiles", "hypoxia_hpc.stores.tiles"),
    ),
    Stage(
        "extract",
        "slide",
        ("tile",),
        "gpu",
        "hypoxia_hpc.stages.extract:extract",
        "Feature vectors of the tiles: RUN/features/<name>/<slide_id>.zarr.",
        asked="extract.is_made_here",
    ),
    Stage(
        "train",
        "cohort",
        ("extract",),
        "gpu",
        "hypoxia_hpc.stages.train:train",
        "Split the patients and train the top models: RUN/split.csv, RUN/models/.",
        labelled=True,
        cost="hypoxia_hpc.runs.costs:train_cost",
    ),
    Stage(
        "evaluate",
        "cohort",
        ("train",),
        "cpu",
        "hypoxia_hpc.stages.evaluate:evaluate",
        "Predict tiles, slides and patients, and measure: RUN/predictions/, RUN/metrics.json.",
        labelled=True,
        cost="hypoxia_hpc.runs.costs:evaluate_cost",
    ),
    Stage(
        "phenotypes",
        "cohort",
        ("train",),
        "gpu",
        "hypoxia_hpc.stages.phenotypes:phenotypes",
        "Phenotypes, from the clustering of [train]: RUN/phenotypes/.\n\nEvery tile gets a cluster. patients.csv and "
        "slides.csv have the share of tiles in each; phenotypes.json says how large clusters are, how far they come "
        "again with other seeds and folds, and whether they follow the tumour or the hospital. [phenotypes] make = "
        "true makes it a part of `run` and `submit`; `predict` gives outside slides the same clusters.",
        key="hypoxia_hpc.stages.phenotypes:expected_key",
        result="phenotypes/phenotypes.json",
        labelled=True,
        cost="hypoxia_hpc.runs.costs:phenotypes_cost",
        asked="phenotypes.make",
    ),
    Stage(
        "survival",
        "cohort",
        ("evaluate",),
        "cpu",
        "hypoxia_hpc.stages.survival:survival",
        _SURVIVAL_HELP,
        labelled=True,
        cost="hypoxia_hpc.runs.costs:survival_cost",
        asked="survival.is_asked",
    ),
    Stage(
        "report",
        "cohort",
        (),
        "cpu",
        "hypoxia_hpc.stages.report:report",
        "One HTML page that opens offline: RUN/report/index.html, figures and thumbnails beside it.",
        cost="hypoxia_hpc.runs.costs:report_cost",
    ),
)


@dataclass(frozen=True, slots=True)
class Registry:
    """All stages in the order in which they are done; by name, the package that adds a stage, and why those of other
    packages that cannot be used are left out."""

    stages: tuple[Stage, ...]
    origins: Mapping[str, str]
    useless: Mapping[str, str]


@cache
def registry() -> Registry:
    """`STAGES`, and what installed packages add."""
    found = added(GROUP, Stage, (*(stage.name for stage in STAGES), *OTHER_VERBS))
    ordered, useless = list(STAGES), dict(found.useless)
    for name, stage in found.found.items():
        if why := why_unfit(name, stage, ordered):
            useless[name] = f"{found.origins[name]}: {why}"
        else:
            ordered.insert(place_of(stage, ordered), stage)
    return Registry(tuple(ordered), found.origins, useless)


def why_unfit(name: str, stage: Stage, others: Sequence[Stage]) -> str:
    """Why a stage cannot stand among the others; empty where it can."""
    if stage.name != name:
        return f"its entry point is {name!r}, and its name {stage.name!r}"
    known = [one.name for one in others if stage.unit == "cohort" or one.unit == "slide"]
    if wrong := [need for need in stage.needs if need not in known]:
        return f"it needs {', '.join(wrong)}; before it come {', '.join(known)}"
    return "" if stage.key is not None else "it has no key, by which its receipts are judged"


def place_of(stage: Stage, others: Sequence[Stage]) -> int:
    """Behind all that it needs; one that sees the whole cohort behind those that go slide by slide, too."""
    before = [
        place
        for place, one in enumerate(others)
        if one.name in stage.needs or (stage.unit == "cohort" and one.unit == "slide")
    ]
    return max(before, default=-1) + 1


def stages() -> tuple[Stage, ...]:
    """All of them, in the order in which they are done."""
    return registry().stages


def stages_of(unit: Unit, config: RunConfig | None = None) -> tuple[Stage, ...]:
    """Those that go slide by slide, or those that see the whole cohort; with ``config``, those that a run asks for."""
    return tuple(stage for stage in stages() if stage.unit == unit and (config is None or stage.is_asked(config)))


def way_to(name: str, config: RunConfig | None = None) -> tuple[Stage, ...]:
    """A stage behind all that it needs, in the order in which they are done; with ``config``, those that a run asks
    for. Raises KeyError as `stage_named` does."""
    wanted = {stage_named(name).name}
    for stage in reversed(stages()):  # what a stage needs comes before it
        if stage.name in wanted:
            wanted |= set(stage.needs)
    return tuple(stage for stage in stages() if stage.name in wanted and (config is None or stage.is_asked(config)))


def stage_named(name: str) -> Stage:
    """Raises KeyError for a name that no stage has."""
    return {stage.name: stage for stage in stages()}[name]
