"""The verb that measures how `tile` scales: bench scaling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hypoxia_hpc.cli.bench import FOLDER, HISTORY
from hypoxia_hpc.cli.options import STOP, Whole, progress, say_blocks
from hypoxia_hpc.cli.terminal import say
from hypoxia_hpc.errors import InputError

if TYPE_CHECKING:
    from hypoxia_hpc.bench.scaling_records import By, ScalingRecord


@click.command(short_help="How much faster is tile with more workers or jobs?")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), metavar="[RUN]", required=False)
@click.option("--slides", "n_slides", type=Whole(1, 10**6), metavar="N", help="This many slides, for the largest size.")
@click.option(
    "--weak", is_flag=True, help="As many slides for each worker (or element), and not the same slides for all sizes."
)
@click.option("--ranks", is_flag=True, help="MPI ranks of one worker each, by mpiexec, on this machine.")
@click.option(
    "--tasks",
    type=Whole(2, 10**6),
    metavar="N",
    help="1, 2, 4 ... N elements of a SLURM array, as [site.slurm] says.",
)
@click.option(
    "--rounds",
    type=Whole(1, 100),
    default=6,
    metavar="N",
    help="Times each size is measured; intervals need 6.  [6]",
)
@FOLDER
@HISTORY
def scaling(folder: Path | None, history: Path | None, **options: Any) -> int:
    """How `tile` scales: with 1, 2, 4 ... workers on the cores of this machine, or elements of a SLURM array.

    \b
    A generated cohort:             hypoxia-hpc bench scaling
    The slides of a run:            hypoxia-hpc bench scaling RUN
    Forty of them:                  hypoxia-hpc bench scaling RUN --slides 40
    As many slides a worker:        hypoxia-hpc bench scaling --weak
    MPI ranks:                      hypoxia-hpc bench scaling --ranks
    Up to 16 array elements:        hypoxia-hpc bench scaling RUN --tasks 16

    RUN is read and not written to: its slides are tiled with its settings below --folder, which needs room for their
    tiles, and the tiles are deleted. Without RUN the slides are links to one synthetic slide, 40 of them, or 8 for each
    core where that is more. All slides are tiled once, untimed, so files are in the page cache. The sizes then take
    turns in every round.

    One worker is the base case. Efficiency is the work a second and core, over that of the base case in the same round:
    100 % is ideal. The command is timed from its start to its end, and the time of the cores is split: start and end,
    reading, decoding, the kernel, encoding, writing, waiting. Figures are appended to the history file; bench report
    draws them.

    With --tasks each size is a job array that submit sends, with its own sizes, shares and script: an element has the
    cores, ranks and nodes of [site.slurm] (without RUN: of the site file), and one element is the base case. A size
    takes as long as its longest element, by sacct; the wait in the queue stands apart. All nodes have to see --folder.
    When it is stopped, its jobs leave the queue.
    """
    from hypoxia_hpc.bench.records import append_records, default_history, require_history
    from hypoxia_hpc.bench.running import default_folder
    from hypoxia_hpc.cli.text.scaling_curve import curve_text

    kept_in = history or default_history()
    require_history(kept_in)
    found = _measured(folder=folder or default_folder(), **options)
    say_blocks(curve_text(found))  # before it is kept, which a full disk may prevent
    append_records(kept_in, [found])
    say(f"\nkept in {kept_in}; hypoxia-hpc bench report draws the curve against the ideal")
    return 0


def _measured(
    *, run: Path | None, n_slides: int | None, weak: bool, ranks: bool, tasks: int | None, rounds: int, folder: Path
) -> ScalingRecord:
    from hypoxia_hpc.bench.scaling_jobs import measure_tasks
    from hypoxia_hpc.bench.scaling_runs import Asked, measure_scaling

    if ranks and tasks is not None:
        raise InputError("--ranks and --tasks are two ways to scale", remedy="give one of them")
    by: By = "ranks" if ranks else "workers" if tasks is None else "tasks"
    asked = Asked(run, n_slides, "weak" if weak else "strong", by, rounds)
    if tasks is None:
        return measure_scaling(asked, folder, progress=progress(), stop=STOP)
    return measure_tasks(asked, tasks, folder, progress=progress(), stop=STOP)
