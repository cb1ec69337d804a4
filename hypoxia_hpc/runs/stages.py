"""The stages of a run, in their order. A stage is one module, and one line in `STAGES`; one of another package is an
entry point of the group ``hypoxia_hpc.stages`` that names a `Stage`.

Functions are named by ``module:function``, so that the list is read without importing what stages need.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from hypoxia_hpc.errors import InputError, MachineError

GROUP = "hypoxia_hpc.stages"
NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
# Results of a stage that sees the whole cohort have one receipt, of this name.
COHORT = "cohort"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    ``name`` is its verb and the folder of its receipts. ``unit``: does it go slide by slide, in parts that share no
    work, or does it see the whole cohort? ``needs``: stages that come before. ``device``: ``gpu`` where it gains from
    one; submit gives such a stage the GPUs of [site.slurm], if any. ``help``: one line for --help.

    ``work``: the function that does it. Slide by slide: ``(run, slides, *, workers, retry, progress, stop, allocation)
    -> StageOutcome``, as `workers.slide_stage.work_through` makes it; else ``(run, *, progress, stop) -> object``,
    which is printed.

    ``key``: the function that tells the key which the receipt of a current result has, for stages that are judged by
    their receipts. Slide by slide: ``(run, slide_state) -> str``, the state in the stage it needs; else ``(run,
    feature_states) -> str``, of the receipt ``cohort``. None: `runs.state` or `monitoring.status` look at the results
    themselves. ``labelled``: there is nothing to do for it where no patient has a label.
    """

    name: str
    unit: Literal["slide", "cohort"]
    needs: tuple[str, ...]
    device: Literal["cpu", "gpu"]
    work: str
    help: str
    key: str | None = None
    labelled: bool = False

    def do(self, *arguments: Any, **options: Any) -> Any:
        """Call ``work``."""
        return pkgutil.resolve_name(self.work)(*arguments, **options)

    def expected_key(self, *arguments: Any) -> str:
        """Call ``key``."""
        if self.key is None:
            raise ValueError(f"{self.name} is not judged by its receipts")
        return str(pkgutil.resolve_name(self.key)(*arguments))


STAGES = (
    Stage(
        "tile",
        "slide",
        (),
        "cpu",
        "hypoxia_hpc.stages.tile:tile",
        "Cut slides into tile stores: RUN/tiles/<slide_id>.zarr.",
    ),
    Stage(
        "extract",
        "slide",
        ("tile",),
        "gpu",
        "hypoxia_hpc.stages.extract:extract",
        "Feature vectors of the tiles: RUN/features/<name>/<slide_id>.zarr.",
    ),
    Stage(
        "train",
        "cohort",
        ("extract",),
        "gpu",
        "hypoxia_hpc.stages.train:train",
        "Split the patients and train the top models: RUN/split.csv, RUN/models/.",
        labelled=True,
    ),
    Stage(
        "evaluate",
        "cohort",
        ("train",),
        "cpu",
        "hypoxia_hpc.stages.evaluate:evaluate",
        "Predict tiles, slides and patients, and measure: RUN/predictions/, RUN/metrics.json.",
        labelled=True,
    ),
    Stage(
        "report",
        "cohort",
        (),
        "cpu",
        "hypoxia_hpc.stages.report:report",
        "One self-contained HTML page: RUN/report/index.html.",
    ),
)


@cache
def stages() -> tuple[Stage, ...]:
    """All of them, in the order in which they are done. Raises InputError, MachineError for one of another package
    that is of no use."""
    return in_order([_loaded(entry) for entry in entry_points(group=GROUP)])


def in_order(added: Iterable[Stage]) -> tuple[Stage, ...]:
    """`STAGES` and these, each behind all that it needs; the whole cohort's behind those that go slide by slide.

    Raises InputError for a name that is taken or no name, a need that is unknown or comes later.
    """
    ordered = list(STAGES)
    for stage in added:
        known = {one.name: place for place, one in enumerate(ordered)}
        by_slide = [place for place, one in enumerate(ordered) if one.unit == "slide"]
        fit = [one.name for one in ordered if stage.unit == "cohort" or one.unit == "slide"]
        wrong = [need for need in stage.needs if need not in fit]
        if not NAME.fullmatch(stage.name) or stage.name in known or wrong:
            raise _refused(stage, wrong, list(known))
        behind = [known[need] for need in stage.needs] + (by_slide if stage.unit == "cohort" else [])
        ordered.insert(max(behind, default=-1) + 1, stage)
    return tuple(ordered)


def stage_named(name: str) -> Stage:
    """Raises KeyError for a name that no stage has."""
    return {stage.name: stage for stage in stages()}[name]


def stages_of(unit: Literal["slide", "cohort"]) -> tuple[Stage, ...]:
    """Those that go slide by slide, or those that see the whole cohort."""
    return tuple(stage for stage in stages() if stage.unit == unit)


def _loaded(entry: EntryPoint) -> Stage:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise MachineError(
            f"the stage {entry.name!r} of an installed package cannot be loaded: {error}",
            offending=[f"{package}: {entry.value}"],
            remedy="install that package again, with what it needs, or uninstall it",
        ) from error
    if not isinstance(found, Stage):
        raise InputError(
            f"the stage {entry.name!r} of an installed package is of type {type(found).__name__}, not a Stage",
            offending=[f"{package}: {entry.value}"],
            remedy="let the entry point name a hypoxia_hpc.runs.stages.Stage",
        )
    return found


def _refused(stage: Stage, wrong: list[str], known: list[str]) -> InputError:
    return InputError(
        f"the stage {stage.name!r} of an installed package cannot be put among the others",
        offending=[
            *([f"name {stage.name!r}: not small letters, digits and -"] if not NAME.fullmatch(stage.name) else []),
            *([f"name {stage.name!r}: another stage has it"] if stage.name in known else []),
            *(f"needs {need!r}: no stage that comes before a {stage.unit}'s" for need in wrong),
        ],
        remedy=f"mend that package; known are {', '.join(known)}",
    )
