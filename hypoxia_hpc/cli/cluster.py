"""Verbs for a cluster, and how far a run is: submit, status; slurm and image, once per site."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from hypoxia_hpc.cli.options import JSON, RUN, STOP, JobId, existing_run, say_blocks, say_json
from hypoxia_hpc.cli.terminal import say, tell

# The definitions in containers/.
IMAGES = ("cpu", "gpu", "gpu-torch")


@click.command(short_help="All stages of the study as a chain of SLURM jobs.")
@RUN
@click.option("--dry-run", is_flag=True, help="Print the scripts and the sbatch lines; send and write nothing.")
@click.option("--retry", is_flag=True, help="Try quarantined slides again.")
@click.option("--from", "first", default="", metavar="STAGE", help="Send nothing that comes before it.")
@click.option("--upto", "last", default="", metavar="STAGE", help="Send nothing that comes after it.")
@click.option(
    "--after",
    type=JobId(),
    metavar="JOBID",
    help="Begin when this job, say a transfer of the slides, has ended well; JOBID_INDEX: an element of an array.",
)
def submit(run: Path, dry_run: bool, retry: bool, first: str, last: str, after: str | None) -> int:
    """All stages of the study as SLURM jobs: tile and extract as arrays, then train, evaluate and report.

    \b
    Where and how is in [site.slurm] of RUN/run.toml, or of a site file for all runs (see
    hypoxia-hpc site): image, binds, modules, account, partition, gpu_partition, gres, cpus,
    ranks, hours, throttle and others, each explained; [site.slurm.extract] is for one stage.
    How many elements an array has, and the memory and time of each, follow from the slides.

    Each stage begins when the one before has ended, an element of extract when its own of tile has. A job stops before
    its time limit, requeues itself and goes on; a node that dies costs the slides in flight. Given again, submit sends
    only what is not done; while jobs of the run are in the queue it refuses. A run without labels ends after extract.

    \b
    hypoxia-hpc submit RUN --dry-run     what would be sent; needs no SLURM
    hypoxia-hpc submit RUN               send it
    hypoxia-hpc submit RUN --upto tile   the tiles alone
    hypoxia-hpc status RUN               look, from anywhere that sees RUN
    hypoxia-hpc cancel RUN               take it back
    """
    from hypoxia_hpc.cli.text.submission import dry_run_text, sent_text
    from hypoxia_hpc.slurm.chain import Part
    from hypoxia_hpc.stages.submit import plan_submission
    from hypoxia_hpc.stages.submit import submit as submit_plan

    run_dir = existing_run(run)
    part = Part(first, last, after or "")
    plan = plan_submission(run_dir, retry=retry, part=part, only_to_show=dry_run)
    for note in plan.notes:
        tell(f"note: {note}")
    if not plan.jobs:
        say(f"nothing to send: what can be done is done, see hypoxia-hpc status {shlex.quote(str(run))}")
        return 0
    if dry_run:
        for block in dry_run_text(plan):
            say(f"{block}\n")
        return 0
    sent: dict[str, tuple[str, ...]] = {job.request.stage: job.ids for job in submit_plan(run_dir, plan)}
    say_blocks(sent_text(plan, sent, shlex.quote(str(run))))
    return 0


@click.command(short_help="Take the jobs of a run out of the queue, and no others.")
@RUN
def cancel(run: Path) -> int:
    """Take the jobs of a run out of the queue, whether they wait or run, and no other jobs. What is done stays done;
    slides in flight are done again by the next submit."""
    from hypoxia_hpc.cli.text.submission import cancelled_text
    from hypoxia_hpc.monitoring.status import run_status
    from hypoxia_hpc.slurm.cancel import cancel_jobs

    run_dir = existing_run(run)
    found = cancel_jobs(run_dir)
    say_blocks(cancelled_text(found, run_status(run_dir).stages, shlex.quote(str(run))))
    return 0


@click.command(short_help="How far a run is, who works on it, and what went wrong.")
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


@click.command(short_help="Job scripts to edit, for those who call sbatch themselves.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
def slurm(folder: Path) -> int:
    """Write job scripts to edit into DIR, for those who call sbatch themselves.

    site.sh has the settings of your site, slides.sbatch is for stages that go slide by slide, cohort.sbatch for the
    others. Nothing is overwritten.
    """
    from hypoxia_hpc.slurm.by_hand import write_scripts

    write_scripts(folder)
    here = shlex.quote(str(folder))
    say(f"edit {here}/site.sh, then: source {here}/site.sh && sbatch --array=0-7 {here}/slides.sbatch tile RUN 8")
    return 0


@click.command(short_help="A file of settings for all runs on this cluster, to edit.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="[FILE]", required=False)
def site(file: Path | None) -> int:
    """Write a site file to edit: settings of this cluster that hold for all runs, by what SLURM says here.

    FILE is by default the one that all verbs read: $HYPOXIA_HPC_SITE, else ~/.config/hypoxia_hpc/site.toml. It holds
    [site] and its tables as run.toml does; what a run.toml says itself wins. Nothing is overwritten.
    """
    from hypoxia_hpc.config.site_file import USUAL, VARIABLE, wanted_site_file
    from hypoxia_hpc.slurm.site import write_site_file

    usual = wanted_site_file()
    target = file or usual or Path(USUAL).expanduser()
    write_site_file(target)
    other = "" if target.absolute() == usual else f", and name it: export {VARIABLE}={shlex.quote(str(target))}"
    say(f"edit {shlex.quote(str(target))}{other}; look: hypoxia-hpc submit RUN --dry-run")
    return 0


@click.command(short_help="Build an Apptainer image of this installation.")
@click.argument("kind", type=click.Choice(IMAGES), metavar="KIND")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("images"), metavar="[DIR]")
@click.option("--base", metavar="docker|debootstrap|FILE", help="What the image stands on; see above.  [docker]")
def image(kind: str, folder: Path, base: str | None) -> int:
    """Build DIR/KIND.sif, an Apptainer image of this installation with locked packages; no root needed. KIND is one of:

    \b
      cpu          TensorFlow on the CPU, 1 GB
      gpu          TensorFlow and CUDA, 4 GB
      gpu-torch    PyTorch, timm and CUDA, 4 GB: foundation models and other networks of timm, with or without a GPU

    It stands on Debian 12: from a container registry (docker), from a mirror of Debian's packages where no registry can
    be reached (debootstrap), or in an image that you have (FILE). What is built already is kept.

    \b
    From the environment, as containers/build.sh reads them:
      MIRROR       mirror of Debian's packages; default: the one that apt uses here
      WEIGHTS      folder with weight files that are to lie in the image
      PIP_...      settings of pip: PIP_INDEX_URL, PIP_CERT and so on
      COMPRESSION  of the image; default: gzip, which every kernel mounts; lz4: larger, and jobs start sooner
      BUILD_FLAGS  more flags of apptainer build
      TMPDIR       where Apptainer works: some 10 GB (for GPUs: 30 GB), no network disk
    """
    from hypoxia_hpc.machine.images import build_image

    built = build_image(kind, folder, base, STOP)
    say(f"{built}: try it by apptainer run {shlex.quote(str(built))} doctor, name it in run.toml: [site.slurm] image")
    return 0
