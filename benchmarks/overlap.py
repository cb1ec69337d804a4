"""Extract beside tile against after all of tile, on a cluster: python benchmarks/overlap.py FOLDER

Sends two chains of eight equal parts one after the other, in which every job sleeps: what is measured is who waits for
whom. One part of tile takes four times as long as the others. FOLDER is one that all nodes see. ``--tile-nodes`` and
``--extract-nodes``: which nodes each has; without them they have the same ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from figures import Figure, Report

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.slurm.chain import Job, Plan
from hypoxia_hpc.slurm.overlap import side_by_side
from hypoxia_hpc.slurm.resources import Array, JobRequest

PARTS = tuple(range(8))
SECONDS, SLOW_SECONDS = 10, 40
LIMIT_SECONDS = 600
SCRIPT = f"""#!/bin/bash
part=${{SLURM_ARRAY_TASK_ID:-all}}
echo "$(date +%s.%N) begins $1 $part" >>times
if [ "$1-$part" = tile-1 ]; then sleep {SLOW_SECONDS}; elif [ "$1" != train ]; then sleep {SECONDS}; fi
echo "$(date +%s.%N) ends $1 $part" >>times
"""


def chain() -> list[Job]:
    request = JobRequest("tile", PARTS, len(PARTS), 1, 1, 1, 100, 10, None, None)
    array = (Array(0, PARTS),)
    return [
        Job(request, array),
        Job(replace(request, stage="extract"), array),
        Job(replace(request, stage="train", elements=None, of=1), (None,)),
    ]


def sent(folder: Path, jobs: Sequence[Job], table: SlurmTable) -> float:
    """Send a chain and wait for its end: seconds from its first job's begin to the end of extract."""
    plan = Plan(folder, table, SCRIPT, tuple(jobs), (), "now")
    plan.logs.mkdir(parents=True)
    plan.script.write_text(SCRIPT)
    subprocess.run(["bash", "-ec", "\n".join(plan.commands())], check=True)  # noqa: S603, S607
    times, deadline = folder / "times", time.monotonic() + LIMIT_SECONDS
    while not times.exists() or "ends train" not in times.read_text():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the chain in {folder} has not ended after {LIMIT_SECONDS} s")
        time.sleep(0.5)
    lines = [line.split() for line in times.read_text().splitlines()]
    return max(float(line[0]) for line in lines if line[2] == "extract") - min(float(line[0]) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tile-nodes")
    parser.add_argument("--extract-nodes")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    nodes = {"tile": options.tile_nodes, "extract": options.extract_nodes}
    table = SlurmTable.model_validate({stage: {"nodelist": names} for stage, names in nodes.items() if names})
    report, jobs, folder = Report(), chain(), Path(os.path.realpath(options.folder))
    ratios = []
    for number in range(options.rounds):
        after = sent(folder / f"after-{number}", jobs, table)
        beside = sent(folder / f"beside-{number}", side_by_side(jobs), table)
        report.say(f"round {number}: extract after all of tile {after:.1f} s, beside it {beside:.1f} s")
        ratios.append(after / beside)
    report.add(Figure("tile and extract: after all of tile against beside it", sorted(ratios)[len(ratios) // 2]))
    report.table()


if __name__ == "__main__":
    main()
