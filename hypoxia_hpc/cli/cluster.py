"""Verbs for a cluster, and how far a run is: submit, status, estimate."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from hypoxia_hpc.cli.options import JSON, RUN, existing_run, say_blocks, say_json
from hypoxia_hpc.cli.terminal import say, tell


@click.command()
@RUN
@click.option("--dry-run", is_flag=True, help="Print the scripts and the sbatch lines; send and write nothing.")
@click.option("--retry", is_flag=True, help="Try quarantined slides again.")
def submit(run: Path, dry_run: bool, retry: bool) -> int:
    """All stages of the study as SLURM jobs: tile and extract as arrays, then train, evaluate and report.

    \b
    Where and how is in [site.slurm] of RUN/run.toml: image, binds, modules, account,
    partition, gpu_partition, gres, cpus, ranks, hours, throttle and others, each explained.
    How many elements an array has, and the memory and time of each, follow from the slides.

    Each stage begins when the one before has ended. A job that meets its time limit stops before it, requeues itself
    and goes on; of a node that dies only the slides in flight are lost. Given again, submit sends only what is not
    done; while jobs of this run are in the queue it refuses. A run without labels ends after extract.

    \b
    hypoxia-hpc submit RUN --dry-run     what would be sent; needs no SLURM
    hypoxia-hpc submit RUN               send it
    hypoxia-hpc status RUN               look, from anywhere that sees RUN
    """
    from hypoxia_hpc.cli.text.submission import dry_run_text, requests_table
    from hypoxia_hpc.stages.submit import plan_submission
    from hypoxia_hpc.stages.submit import submit as submit_plan

    run_dir = existing_run(run)
    plan = plan_submission(run_dir, retry=retry)
    for note in plan.notes:
        tell(f"note: {note}")
    if not plan.jobs:
        say(f"nothing to send: what can be done is done, see hypoxia-hpc status {shlex.quote(str(run))}")
        return 0
    requests = [job.request for job in plan.jobs]
    if dry_run:
        for block in dry_run_text(plan):
            say(f"{block}\n")
        say(requests_table(requests, {}))
        return 0
    sent: dict[str, tuple[str, ...]] = {job.request.stage: job.ids for job in submit_plan(run_dir, plan)}
    say(requests_table(requests, sent))
    ids = " ".join(one for several in sent.values() for one in several)
    say(f"\nlook: hypoxia-hpc status {shlex.quote(str(run))} · logs: {plan.logs} · take back: scancel {ids}")
    return 0


@click.command()
@RUN
@JSON
def status(run: Path, as_json: bool) -> int:
    """How far a run is, who works on it, what SLURM says, and every quarantined slide with its reason."""
    from hypoxia_hpc.cli.text.status import status_text
    from hypoxia_hpc.monitoring.status import run_status

    state = run_status(existing_run(run))
    if as_json:
        say_json(state.as_json())
    else:
        say_blocks(status_text(state, str(run)))
    return 0


@click.command()
@RUN
@JSON
def estimate(run: Path, as_json: bool) -> int:
    """Files, bytes, core- and GPU-hours that a run still takes, against free space and quota; reads some headers."""
    from hypoxia_hpc.cli.text.estimate import estimate_text
    from hypoxia_hpc.monitoring.estimate import estimate_run

    found = estimate_run(existing_run(run))
    if as_json:
        say_json(found.as_json())
    else:
        say_blocks(estimate_text(found, str(run)))
    return 0
