"""Checks of the suite on a cluster, for ReFrame: cases of ``hypoxia-hpc bench``, and a cohort tiled by MPI ranks.

    pip install 'hypoxia-hpc[bench]'
    reframe -C benchmarks/reframe/site_example.py -c benchmarks/reframe/checks.py -r
    reframe -C ... -c ... -r -S image=/shared/cpu.sif -S TilingByRanks.slides=/data/slides
    reframe -C ... --performance-compare=now-1d:now/now-30d:now-1d/median:/         today against the month before

ReFrame keeps the figures of every session in a database of its own, and compares them.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import reframe as rfm
import reframe.utility.sanity as sn
from references import SHARES
from reframe.core.builtins import deferrable, parameter, performance_function, run_before, sanity_function, variable

FIGURES, BEFORE, AFTER, STATUS = "figures.json", "before.txt", "after.txt", "status.json"
# Of this many shares the first is the costliest slide alone.
ONE_SLIDE = "0/999999"


class InImage(rfm.RunOnlyRegressionTest):
    """A command of the suite: as it is installed on the node, or in the Apptainer image that ``image`` names."""

    image = variable(str, value="")
    valid_systems = ["*"]  # noqa: RUF012 - what ReFrame's own metaclass asks for
    valid_prog_environs = ["*"]  # noqa: RUF012

    def ask(self, words: list[str], folders: list[str] | None = None) -> None:
        """What the job runs: ``hypoxia-hpc`` with these words; an image also sees these folders."""
        if not self.image:
            self.executable, self.executable_opts = "hypoxia-hpc", words
            return
        self.container_platform = "Apptainer"
        self.container_platform.image = shlex.quote(self.image)  # ReFrame quotes the folders of -B alone
        self.container_platform.command = " ".join(["hypoxia-hpc", *words])
        self.container_platform.mount_points = [(folder, folder) for folder in folders or []]
        self.container_platform.options = ["--pwd /rfm_workdir"]


@rfm.simple_test
class Figure(InImage):
    """A case of ``hypoxia-hpc bench``, as a share of the bound that is measured in the same rounds: the share carries
    over from machine to machine, so one reference serves all; the rate is kept beside it."""

    case = parameter(sorted(SHARES))
    time_limit = "15m"
    num_tasks = 1

    @run_before("run")
    def measure(self) -> None:
        self.ask(["bench", "--only", self.case, "--folder", ".", "--history", "history.jsonl", "--json", FIGURES])
        least_of_reference = SHARES[self.case]
        self.reference = {"*": {"share": (*least_of_reference, None, "%")}}

    @deferrable
    def figure(self) -> dict[str, Any]:
        """The one record that bench has written."""
        records = json.loads(Path(self.stagedir, FIGURES).read_text(encoding="utf-8"))
        if len(records) != 1:
            raise ValueError(f"{FIGURES} has {len(records)} figures, not one: see what {self.case} misses here")
        return dict(records[0])

    @sanity_function
    def its_answer_is_right(self) -> bool:
        """bench ends with another code, and writes no figure, where an answer differs from its check."""
        return sn.all([sn.assert_eq(self.job.exitcode, 0), sn.assert_eq(self.figure()["case"], self.case)])

    @performance_function("%", perf_key="share")
    def share_of_the_bound(self) -> float:
        return self.figure()["share"]["value"] * 100

    @performance_function("/s", perf_key="rate")
    def units_a_second(self) -> float:
        return self.figure()["rate"]["value"]


@rfm.simple_test
class TilingByRanks(InImage):
    """Strong scaling: ``tile --mpi`` of all slides in the folder that ``slides`` names, by 1, 2, 4 ranks, one a node.
    The rate has no reference, since it is that of these slides: compare the sizes, or one size over time."""

    ranks = parameter([1, 2, 4])
    slides = variable(str, value="")
    workers = variable(int, value=1)
    time_limit = "4h"
    num_tasks_per_node = 1

    @run_before("setup")
    def spread(self) -> None:
        self.skip_if(not self.slides, "name a folder of slides: -S TilingByRanks.slides=DIR")
        self.num_tasks, self.num_cpus_per_task = self.ranks, self.workers

    @run_before("run")
    def tile(self) -> None:
        self.ask(["tile", "run", "--mpi", "--workers", str(self.workers)], [self.slides])
        if self.job.launcher.registered_name == "srun":
            self.job.launcher.options = ["--mpi=pmi2"]
        slides, image = shlex.quote(self.slides), shlex.quote(self.image)
        suite = f"{f'apptainer exec -B {slides} {image} ' if self.image else ''}hypoxia-hpc"
        on_all = self.job.launcher.run_command(self.job)
        self.prerun_cmds = [
            f"{suite} init run --study hypoxia --slides {slides} || exit",
            # Compiles the kernels on each node, which is not what is measured.
            f"cp -r run warm && {on_all} {suite} tile warm --share {ONE_SLIDE} || exit",
            f"date +%s.%N > {BEFORE}",
        ]
        self.postrun_cmds = [f"date +%s.%N > {AFTER}", f"{suite} status run --json > {STATUS}"]

    @deferrable
    def tiling(self) -> dict[str, Any]:
        """What status says of the stage."""
        told = json.loads(Path(self.stagedir, STATUS).read_text(encoding="utf-8"))
        return next(one for one in told["stages"] if one["stage"] == "tile")

    @sanity_function
    def every_slide_is_done(self) -> bool:
        """Some slides may be quarantined; none may be left, and of none may there be tiles alone."""
        return sn.all([sn.assert_eq(self.tiling()["todo"], 0), sn.assert_gt(self.tiling()["done"], 0)])

    @performance_function("tiles/s", perf_key="rate")
    def tiles_a_second(self) -> float:
        before, after = (float(Path(self.stagedir, name).read_text(encoding="utf-8")) for name in (BEFORE, AFTER))
        return self.tiling()["tiles"] / (after - before)
