"""submit: what a run still needs, as jobs that wait for each other; sent to SLURM, and recorded in RUN/slurm/jobs.

Each job waits for the end of the one before, however that ends (``afterok`` would hang for ever behind one failed
element), and the command line itself refuses to go on where an earlier stage is not complete. Of stages that go slide
by slide, each element waits for its own of the stage before alone, where both have the same parts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from hypoxia_hpc.analysis.embedding import UMAP, require_umap
from hypoxia_hpc.config import RunConfig, SlurmTable
from hypoxia_hpc.config.site_file import site_file
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError, some
from hypoxia_hpc.machine.programs import environment, query_program, run_program
from hypoxia_hpc.monitoring.remaining import Remaining, remaining
from hypoxia_hpc.networks.backbones.needed import torch_entry
from hypoxia_hpc.networks.runtime import refuse_other_backend
from hypoxia_hpc.records import Json, Slide
from hypoxia_hpc.runs.cohort import patients_with_slides
from hypoxia_hpc.runs.costs import StageCost, cohort_cost, cohort_size
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.made_by import OF_OWN_MODELS, refuse_predicted
from hypoxia_hpc.runs.stages import stages
from hypoxia_hpc.runs.trainable import refuse_untrainable
from hypoxia_hpc.slides.nifti import has_nifti, require_nibabel
from hypoxia_hpc.slurm.binds import needed_folders, unseen_binds
from hypoxia_hpc.slurm.chain import WHOLE, Job, Part, Plan
from hypoxia_hpc.slurm.learning import learned
from hypoxia_hpc.slurm.limits import cut_short, in_time, refuse_unknown_mpi, remedy_for, slurm_limits
from hypoxia_hpc.slurm.logs import make_logs, submission_name
from hypoxia_hpc.slurm.overlap import waiting_notes
from hypoxia_hpc.slurm.queue import Sent, earlier_count, failed_ones, query_sacct, query_squeue, sent_jobs
from hypoxia_hpc.slurm.resources import (
    Array,
    JobRequest,
    cohort_notes,
    request_of_cohort,
)
from hypoxia_hpc.slurm.room import query_queue, refuse_without_room
from hypoxia_hpc.slurm.script import bound_folders, job_script, refuse_unusable
from hypoxia_hpc.slurm.sizing import chain_of, slide_requests
from hypoxia_hpc.stores.commit import committed_file

PATIENCE_SECONDS = 60
PROGRAM = "hypoxia-hpc"


@dataclass(frozen=True, slots=True)
class SentJob:
    """A job and the ids that SLURM gave it, one for each array."""

    request: JobRequest
    ids: tuple[str, ...]


def plan_submission(run: RunDir, *, retry: bool, part: Part = WHOLE, only_to_show: bool = False) -> Plan:
    """What is not done yet of the ``part`` of all stages, as jobs. Writes nothing, sends nothing; SLURM is asked for
    its limits if it is here. A plan that is ``only_to_show``, or for tile alone, needs no weights on this machine.

    Raises:
        InputError: values that cannot be passed on to bash, SLURM or Apptainer; a time limit of a partition that leaves
            no time; ranks that srun cannot start; a part that names no stage; patients whom ``train`` would refuse.
        NotReadyError: a part whose first stage needs what is not done.
        MachineError: weights that are not here, where there is no image that may have them; no program to run.
    """
    run = RunDir(Path(os.path.realpath(run.root)))
    config, slides, root = run.config(), run.slides(), run.root
    chosen = part.of([stage.name for stage in stages()])
    table = config.site.slurm
    work = remaining(run, retry=retry, only_to_show=only_to_show, chosen=chosen)
    work = work.within(chosen, after_job=bool(part.after))
    image = _image(table)
    folders = [] if image is None else bound_folders(needed_folders(config, slides))
    refuse_unusable(root, [] if image is None else [str(root), *folders], table)
    refuse_unknown_mpi(table)
    program = _program() if image is None else PROGRAM
    max_size, limits = slurm_limits()
    _refuse_unfit(run, work.stages)
    costs = _cohort_costs(run, config, slides, work)
    earlier = {stage: earlier_count(run, stage) for stage in work.slides}
    usual = [*slide_requests(slides, work.slides, earlier, work.pace, table), *_cohort_requests(costs, table)]
    wanted, taught = _learned(usual, sent_jobs(run))
    requests = [in_time(one, limits, table) for one in wanted]
    text = job_script(root, program, image, folders, config.site, retry=retry, site_file=site_file())
    jobs = chain_of(requests, max_size)
    cut = (cut_short(one.minutes, other, table) for one, other in zip(wanted, requests, strict=True) if other != one)
    unseen = unseen_binds(root, table) if image is not None else ()
    of_costs = (note for stage, cost in costs.items() for note in cohort_notes(stage, cost, table))
    of_image = (*_no_image(image, only_to_show), *_lacking(config, slides, work.stages, image), *unseen)
    notes = (*work.notes, *of_image, *taught, *cut, *waiting_notes(jobs), *of_costs)
    return Plan(root, table, text, tuple(jobs), notes, submission_name(), part.after)


def _refuse_unfit(run: RunDir, wanted: Collection[str]) -> None:
    """Raises InputError where one of these stages would refuse the run, hours later."""
    if set(OF_OWN_MODELS) & set(wanted):
        refuse_predicted(run, "submit")
    if "train" in wanted:
        refuse_untrainable(run)


def _lacking(
    config: RunConfig, slides: Sequence[Slide], wanted: Collection[str], image: Path | None
) -> tuple[str, ...]:
    """Libraries that these stages go by and the jobs may lack. Raises InputError where it is known that they do, or
    that they would look for another one."""
    picture = _no_umap(config.phenotypes.picture, image) if "phenotypes" in wanted else ()
    nifti = _no_nibabel(slides, image) if "tile" in wanted and config.tile.series.is_on else ()
    return (*_on_torch(config, image), *picture, *nifti)


def _on_torch(config: RunConfig, image: Path | None) -> tuple[str, ...]:
    """The jobs' backend, where run.toml decides it. Raises InputError where the environment, which jobs inherit, says
    another one."""
    entry = torch_entry(config)
    if not entry:
        return ()
    refuse_other_backend(os.environ.get("KERAS_BACKEND", ""), entry)
    needs = "" if image is None else f"; {image} has to have it, as the one of hypoxia-hpc image gpu-torch has"
    return (f"{entry}: the jobs of all stages run Keras on PyTorch{needs}",)


def _no_umap(picture: str, image: Path | None) -> tuple[str, ...]:
    """Do the jobs have the library that [phenotypes] picture goes by? Raises InputError where it is known that not."""
    if image is None:
        require_umap(picture)
    if image is None or picture != UMAP:
        return ()
    return (
        f'[phenotypes] picture = "umap" goes by umap-learn, and images of `hypoxia-hpc image` have no such package: '
        f'where {image} is one of them, the stage phenotypes will end with 2; picture = "pca" needs nothing',
    )


def _no_nibabel(slides: Sequence[Slide], image: Path | None) -> tuple[str, ...]:
    """The same for NIfTI files."""
    if not has_nifti(slides):
        return ()
    if image is None:
        require_nibabel()
        return ()
    return (
        f"NIfTI files are read through nibabel, and images of `hypoxia-hpc image` have no such package: where {image} "
        "is one of them, the stage tile will end with 2; tile here first, then submit --from extract",
    )


def submit(run: RunDir, plan: Plan) -> Iterator[SentJob]:
    """Send the jobs of a plan, each to begin when what it waits for has ended, and yield each when it is sent.

    Raises:
        MachineError: no sbatch, no image, no answer from SLURM's controller.
        NotReadyError: jobs of this run that are in the queue.
        InputError: SLURM would not take a job, or has no room for all of them.
    """
    image = _image(plan.table)
    if image is not None and not image.exists():
        raise MachineError(f"[site.slurm] image {image} is not there", remedy="build or copy it, or mend run.toml")
    if shutil.which("sbatch") is None:
        raise MachineError(
            "sbatch is not on this machine", remedy="log in to the cluster; to see what would be sent: --dry-run"
        )
    if said := _why_silent():
        raise _silent(said)
    _refuse_queued(run)
    _refuse_unknown(plan.after)
    refuse_without_room(plan.jobs, query_queue(), plan.table)
    make_logs(plan.logs)
    committed_file(plan.script, plan.text.encode())
    for job in plan.jobs:
        _call_sbatch(job, plan.trial_arguments(job))
    sent: dict[str, str] = {}
    for call in plan.calls():
        printed = _call_sbatch(call.job, plan.arguments(call, sent), partial(_take_back, run, sent.values()))
        sent[call.name] = _job_id(call.job, printed)
        _record(run, call.job, call.array, sent[call.name], plan.submission)
        if call.array is call.job.arrays[-1]:
            ids = [job_id for name, job_id in sent.items() if name.rpartition("_")[0] == call.job.request.stage]
            yield SentJob(call.job.request, tuple(ids))


def _take_back(run: RunDir, ids: Collection[str]) -> str:
    """Cancel what was sent of a chain that cannot be sent whole, and forget it. In words: that it is so, or what the
    user has to do first; nothing where nothing was sent."""
    if not ids:
        return ""
    _, why = query_program("scancel", *reversed(list(ids)))
    if why:
        return f"scancel {' '.join(ids)}, which are sent already; then "
    for job_id in ids:
        _record_file(run, job_id).unlink(missing_ok=True)
    return "what was sent before it is cancelled again; "


def _cohort_costs(run: RunDir, config: RunConfig, slides: Sequence[Slide], work: Remaining) -> dict[str, StageCost]:
    patients = list(patients_with_slides(slides, run.patients()).values())
    size = cohort_size(config, len(slides), patients, work.n_tiles)
    return {stage: cohort_cost(stage, config, size) for stage in work.stages}


def _cohort_requests(costs: Mapping[str, StageCost], table: SlurmTable) -> list[JobRequest]:
    return [request_of_cohort(stage, cost, table) for stage, cost in costs.items()]


def _learned(requests: Sequence[JobRequest], sent: Sequence[Sent]) -> tuple[list[JobRequest], list[str]]:
    """What is asked for after what earlier jobs of the run have met, and what is said of it; nothing is learnt where
    accounting does not answer."""
    accounted, _ = query_sacct(list(dict.fromkeys(one.job_id for one in sent))) if sent else (None, "")
    if accounted is None:
        return list(requests), []
    failed = failed_ones(accounted.ended, accounted.living, sent)
    found = [learned(one, failed, accounted.ended, sent) for one in requests]
    return [one for one, _ in found], [note for _, notes in found for note in notes]


def _record_file(run: RunDir, job_id: str) -> Path:
    return run.root / "slurm" / "jobs" / f"{job_id}.json"


def _record(run: RunDir, job: Job, array: Array | None, job_id: str, submission: str) -> None:
    """A file for each job, so that of two submissions at once neither loses what the other writes."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry: Json = {
        "stage": job.request.stage,
        "job_id": job_id,
        "elements": None,
        "of": job.request.of,
        "submitted": now,
        "logs": submission,
        "memory_mb": job.request.memory_mb,
        "minutes": job.request.minutes,
    }
    if array is not None:
        entry |= {"elements": [array.first + index for index in array.indices], "first": array.first}
    committed_file(_record_file(run, job_id), json.dumps(entry).encode())


def _image(table: SlurmTable) -> Path | None:
    return Path(os.path.normpath(table.image)) if table.image is not None else None


def _no_image(image: Path | None, only_to_show: bool) -> tuple[str, ...]:
    if image is None or not only_to_show or os.path.exists(image):  # noqa: PTH110 - a folder on the way that may not be entered is no error
        return ()
    return (
        f"[site.slurm] image {image} is not there: submit refuses to send this; build or copy it, or mend run.toml",
    )


def _program() -> str:
    program = Path(sys.executable).with_name(PROGRAM)
    if not program.exists():
        raise MachineError(
            f"{program} is not there, so a job could not run it",
            remedy="pip install hypoxia-hpc into this environment, or set [site.slurm] image",
        )
    return str(program)


def _refuse_queued(run: RunDir) -> None:
    ids = list(dict.fromkeys(one.job_id for one in sent_jobs(run)))
    queued, why = query_squeue(ids) if ids else ([], "")
    if queued is None:
        raise MachineError(
            f"it is not known whether jobs of this run are in the queue: {why}", remedy="try again later"
        )
    if queued:
        raise NotReadyError(
            f"{some(len(queued), 'job')} of this run in the queue",
            offending=[f"{one.job} {one.state.lower()}" for one in queued],
            remedy=f"wait for them (hypoxia-hpc status {run.word}), or cancel them: hypoxia-hpc cancel {run.word}",
        )


def _refuse_unknown(job_id: str) -> None:
    """SLURM forgets a job some minutes after its end, and takes none that waits for one that it does not know."""
    answer, why = query_program("scontrol", "show", "job", job_id) if job_id else ("", "")
    if answer is None:
        raise InputError(f"--after {job_id}: {why}", remedy="if that job has ended well, leave --after out")


def _call_sbatch(job: Job, arguments: Sequence[str], take_back: Callable[[], str] = lambda: "") -> str:
    done = _run(["sbatch", *arguments])
    if done.returncode:
        said = done.stderr.strip() or f"sbatch ended with exit code {done.returncode}"
        first = take_back()
        if "timed out" in said or _why_silent():
            raise _silent(said, first)
        raise InputError(
            f"SLURM does not take the job of {job.request.stage}: {_in_words(job.request)}",
            offending=said.splitlines(),
            remedy=first + remedy_for(said),
        )
    return done.stdout


def _why_silent() -> str:
    """Empty where a controller of SLURM answers."""
    answer, why = query_program("scontrol", "ping")
    return why if answer is None else "" if " UP" in answer else answer


def _silent(said: str, first: str = "") -> MachineError:
    return MachineError(
        "SLURM does not answer",
        offending=said.splitlines(),
        remedy=f"{first}look at scontrol ping, $SLURM_CONF and squeue --me, and try again later",
    )


def _in_words(request: JobRequest) -> str:
    where = f" in partition {request.partition}" if request.partition else ""
    gres = f" and {request.gres}" if request.gres else ""
    cores = f"{some(request.nodes, 'node')}, {request.ranks} x {some(request.cpus, 'core')}"
    memory = "" if request.memory == "none" else f", {request.memory_mb / 1000:g} GB a node"
    return f"{cores}{memory}{gres} for {request.minutes} min{where}"


def _job_id(job: Job, printed: str) -> str:
    """From ``123`` or ``123;cluster``, which --parsable prints."""
    job_id = printed.strip().partition(";")[0]
    if not job_id.isdecimal():
        raise MachineError(
            f"sbatch printed no job id for {job.request.stage}: {printed.strip()!r}", remedy="look at squeue --me"
        )
    return job_id


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        # No LC_ALL here: sbatch hands its environment on to the jobs.
        return run_program(command, environment(), PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise MachineError(
            f"{command[0]} did not answer within {PATIENCE_SECONDS} s", remedy="try again later"
        ) from None
