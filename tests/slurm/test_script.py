"""Job scripts: one truth, quoted, right in what they do: run by a real bash, with SLURM as a few shell functions."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.config import SiteTable, SlurmTable
from hypoxia_hpc.config.paths import with_paths
from hypoxia_hpc.config.slurm import Memory
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slurm.queue import SACCT_FIELDS
from hypoxia_hpc.slurm.resources import Array, JobRequest
from hypoxia_hpc.slurm.script import (
    bound_folders,
    job_body,
    job_script,
    quoted_with_names,
    refuse_unusable,
    sbatch_arguments,
)

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = ("slurm/slides.sbatch", "slurm/cohort.sbatch")
NASTY = 'it\'s $(touch owned) `x` "q" & ; * ä'
ASK = JobRequest("tile", (0, 2), 8, nodes=1, ranks=1, cpus=4, memory_mb=4000, minutes=75, partition=None, gres=None)

# What SLURM does, as functions that write down what they were asked: srun runs the task itself.
SLURM = r"""
note() { printf '%s\0' "$@" >>"$RECORD"; printf '\036' >>"$RECORD"; }
srun() (
    note srun "$@"
    while [[ ${1:-} == --* ]]; do shift; done
    SLURM_PROCID=0 exec "$@"
)
scontrol() { note scontrol "$@"; }
squeue() { note squeue "$@"; echo "$JOB_STATE"; }
module() { note module "$@"; }
apptainer() { :; }
"""


@dataclass(frozen=True)
class Ran:
    """How a script ended, what it printed, and every call of SLURM's programs with its arguments."""

    code: int
    printed: str
    calls: list[list[str]]

    def of(self, program: str) -> list[list[str]]:
        return [call[1:] for call in self.calls if call[0] == program]


@dataclass(frozen=True)
class Job:
    """A folder to run scripts in. ``program`` is what stands for hypoxia-hpc there."""

    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "pro gram"

    def does(self, body: str) -> None:
        self.program.write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" >"{self.folder}/arguments"\n{body}\n')
        self.program.chmod(0o755)

    @property
    def arguments(self) -> list[str]:
        return (self.folder / "arguments").read_text().split("\0")[:-1]

    def start(self, script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        record = self.folder / "calls"
        record.write_text("")
        known = {
            "RECORD": str(record),
            "JOB_STATE": "RUNNING",
            "SLURM_JOB_ID": "70",
            "SLURM_NNODES": "1",
            "SLURM_NTASKS": "1",
            "SLURM_CPUS_PER_TASK": "4",
            "SLURM_JOB_NODELIST": "n1",
            "SLURMD_NODENAME": "n1",
            "TMPDIR": str(self.folder / "tmp dir"),
            "PATH": os.environ["PATH"],
        }
        (self.folder / "script").write_text(f"{SLURM}\n{script}")
        return subprocess.Popen(
            ["bash", self.folder / "script", *arguments],
            env={**known, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        printed, _ = process.communicate(timeout=30)
        calls = [call.split("\0")[:-1] for call in (self.folder / "calls").read_text().split("\x1e")[:-1]]
        return Ran(process.returncode, printed, calls)

    def run(self, script: str, *arguments: str, **environment: str) -> Ran:
        return self.ended(self.start(script, *arguments, **environment))

    def script(self, *, run: str = "/data/run", retry: bool = False, **slurm: object) -> str:
        site = SiteTable(slurm=SlurmTable.model_validate(slurm))
        return job_script(Path(run), str(self.program), None, [], site, retry=retry)


ELEMENT = {"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "5"}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path)
    job.does("exit 0")
    return job


def until(condition: Path) -> None:
    for _ in range(200):
        if condition.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{condition} never came")


def by_hand(job: Job, script: str) -> str:
    """A script of slurm/ as sbatch runs it: from another folder, in an environment that site.sh has set up."""
    site = f"source {shlex.quote(str(REPOSITORY / 'slurm' / 'site.sh'))}\n"
    return f"{site}HYPOXIA_PROGRAM={shlex.quote(str(job.program))}\n{(REPOSITORY / script).read_text()}"


def test_scripts_to_edit_do_the_same_as_those_of_submit(job: Job) -> None:
    assert (REPOSITORY / "slurm" / "job.bash").read_text() == job_body()
    run = str(job.folder / "a run")
    assert job.run(by_hand(job, SCRIPTS[0]), "tile", run, "8", "1000", **ELEMENT).code == 0
    assert job.arguments == ["tile", run, "--share", "1005/8", "--workers", "4"]
    assert job.run(by_hand(job, SCRIPTS[0]), "extract", run, "8", **ELEMENT).code == 0
    assert job.arguments == ["extract", run, "--share", "5/8"]
    assert job.run(by_hand(job, SCRIPTS[1]), "train", run).code == 0
    assert job.arguments == ["train", run]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_without_its_settings_says_what_to_do(job: Job, script: str) -> None:
    ran = job.run((REPOSITORY / script).read_text(), "tile", "/run", "8")
    assert ran.code != 0
    assert "source slurm/site.sh" in ran.printed


def test_scripts_are_clean_to_shellcheck(job: Job) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (apt-get install shellcheck)")
    made = job.folder / "made.sbatch"
    made.write_text(job.script(binds=("/a b",)))
    written = [*SCRIPTS, "slurm/site.sh", "slurm/job.bash"]
    subprocess.run(["shellcheck", "--external-sources", *written, made], check=True, cwd=REPOSITORY)


def test_an_element_does_its_part(job: Job) -> None:
    ran = job.run(job.script(), "tile", "8", "1000", **ELEMENT)
    assert ran.code == 0
    assert job.arguments == ["tile", "/data/run", "--share", "1005/8", "--workers", "4"]
    assert "--mpi=none" in ran.of("srun")[0]
    assert not (job.folder / "tmp dir" / "hypoxia-70").exists()


def test_extract_has_one_worker_and_the_cohort_no_share(job: Job) -> None:
    job.run(job.script(retry=True), "extract", "8", "0", **ELEMENT)
    assert job.arguments == ["extract", "/data/run", "--share", "5/8", "--retry"]
    job.run(job.script(), "train")
    assert job.arguments == ["train", "/data/run"]


def test_ranks_are_started_by_srun(job: Job) -> None:
    ran = job.run(job.script(mpi="pmix"), "tile", "8", "0", **ELEMENT, SLURM_NTASKS="4")
    assert job.arguments[-1] == "--mpi"
    assert "--mpi=pmix" in ran.of("srun")[0]


def test_a_slide_stage_needs_an_array(job: Job) -> None:
    ran = job.run(job.script(), "tile", "8", "0")
    assert ran.code != 0
    assert "--array=0-7" in ran.printed
    assert ran.of("srun") == []


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 0), (1, 1), (2, 2), (4, 4), (5, 5), (137, 137)])
def test_exit_codes_are_told_and_quarantine_is_no_failure(job: Job, code: int, expected: int) -> None:
    job.does(f"exit {code}")
    ran = job.run(job.script(), "tile", "8", "0", **ELEMENT)
    assert ran.code == expected
    assert ran.of("scontrol") == []
    assert not (job.folder / "tmp dir" / "hypoxia-70").exists()


@pytest.mark.parametrize(
    ("environment", "earlier", "requeued"),
    [
        ({}, 0, ["70_5"]),
        ({}, 2, ["70_5"]),
        ({}, 3, []),
        ({"SLURM_RESTART_COUNT": "9"}, 2, ["70_5"]),  # preempted, or nodes were lost
        ({"JOB_STATE": "COMPLETING"}, 0, []),
        ({"JOB_STATE": ""}, 0, []),
    ],
)
def test_a_stopped_element_is_requeued_alone_so_many_times_and_not_where_cancelled(
    job: Job, environment: Mapping[str, str], earlier: int, requeued: list[str]
) -> None:
    """70 is also the job id of the last element: to requeue it would be to requeue the whole array."""
    job.does("exit 75")
    count = job.folder / "r" / "slurm" / "requeues" / "70_5"
    count.parent.mkdir(parents=True)
    count.write_text("once\n" * earlier)
    script = job.script(run=str(job.folder / "r"), most_requeues=3)
    ran = job.run(script, "tile", "8", "0", **ELEMENT, **environment)
    assert ran.code == 75
    assert ran.of("scontrol") == [["requeue", name] for name in requeued]
    assert len(count.read_text().splitlines()) == earlier + len(requeued)
    assert ran.printed.rstrip().endswith("requeued") == bool(requeued)


def test_a_requeue_that_slurm_refuses_is_not_said_to_be_done(job: Job) -> None:
    job.does("exit 75")
    refuses = 'scontrol() { echo "Requested operation is presently disabled"; return 1; }\n'
    ran = job.run(refuses + job.script(run=str(job.folder / "r")), "train")
    assert ran.code == 75
    assert "could not be requeued" in ran.printed


def test_a_job_without_array_is_requeued_by_its_id(job: Job) -> None:
    job.does("exit 75")
    assert job.run(job.script(run=str(job.folder / "r")), "train").of("scontrol") == [["requeue", "70"]]


def test_the_signal_reaches_the_program_once_and_its_exit_code_counts(job: Job) -> None:
    job.does(
        f'trap \'echo heard >>"{job.folder}/heard"; [ -e "{job.folder}/go" ] && exit 75\' USR1\n'
        f'touch "{job.folder}/started"\nwhile :; do sleep 0.05; done'
    )
    process = job.start(job.script(run=str(job.folder / "r"), stop_seconds=10), "tile", "8", "0", **ELEMENT)
    until(job.folder / "started")
    process.send_signal(signal.SIGUSR1)
    until(job.folder / "heard")
    time.sleep(1)
    assert process.poll() is None, "the script ended before the program"
    assert (job.folder / "heard").read_text().count("heard") == 1
    (job.folder / "go").touch()
    ran = job.ended(process)  # ends by the second signal, eight of ten seconds after the first
    assert (job.folder / "heard").read_text().count("heard") == 2
    assert (ran.code, ran.of("scontrol")) == (75, [["requeue", "70_5"]])


def test_on_term_the_script_waits_for_the_program_and_clears_up(job: Job) -> None:
    job.does(f'touch "{job.folder}/started"\nsleep 1\nexit 75')
    process = job.start(job.script(), "tile", "8", "0", **ELEMENT, JOB_STATE="COMPLETING")
    until(job.folder / "started")
    process.send_signal(signal.SIGTERM)
    ran = job.ended(process)
    assert (ran.code, ran.of("scontrol")) == (75, [])
    assert not (job.folder / "tmp dir" / "hypoxia-70").exists()


def test_several_nodes_are_cleared_up_by_srun(job: Job) -> None:
    ran = job.run(job.script(), "tile", "8", "0", **ELEMENT, SLURM_NNODES="2", SLURM_NTASKS="2")
    assert [("rm" in call, any("mkdir" in word for word in call)) for call in ran.of("srun")] == [
        (False, True),
        (False, False),
        (True, False),
    ]


def test_modules_are_loaded_first(job: Job) -> None:
    assert job.run(job.script(modules=("mpi/5", "b")), "train").of("module") == [["load", "mpi/5", "b"]]


def test_module_is_found_where_no_login_shell_has_defined_it(job: Job) -> None:
    (job.folder / "init").mkdir()
    (job.folder / "init" / "bash").write_text('module() { note module "$@"; }\n')
    script = f"unset -f module\n{job.script(modules=('a',))}"
    assert job.run(script, "train", MODULESHOME=str(job.folder)).of("module") == [["load", "a"]]


def test_a_container_program_of_the_old_name_serves_too(job: Job) -> None:
    image = job.folder / "cpu.sif"
    image.touch()
    script = job_script(Path("/data/run"), "hypoxia-hpc", image, [], SiteTable(), retry=False)
    without = 'unset -f apptainer\ntype() { [ "$1" != apptainer ] && builtin type "$@"; }\n'
    (call,) = job.run(f"{without}singularity() {{ :; }}\n{script}", "train").of("srun")
    assert "singularity" in call and "apptainer" not in call
    ran = job.run(f"{without}unset -f singularity\n{script}", "train")
    assert (ran.code, ran.of("srun")) == (4, [])
    assert "neither apptainer nor singularity is here" in ran.printed


def test_an_image_sees_the_run_the_scratch_and_the_folders(job: Job) -> None:
    site = SiteTable(scratch=str(job.folder / "fast"), slurm=SlurmTable(binds=("/data:/mnt",)))
    image = job.folder / "cpu.sif"
    image.touch()
    script = job_script(Path("/data/run"), "hypoxia-hpc", image, ["/slides/a b"], site, retry=False)
    (call,) = job.run(script, "train", SLURM_JOB_GPUS="0").of("srun")
    assert call[call.index("apptainer") :] == [
        *("apptainer", "exec", "--bind", "/data/run", "--bind", str(job.folder / "fast")),
        *("--bind", f"{job.folder}/fast/hypoxia_hpc-kernels-{os.getuid()}"),
        *("--bind", "/data:/mnt,/slides/a b", "--nv", str(image), "hypoxia-hpc", "train", "/data/run"),
    ]


def test_an_image_that_is_gone_is_told(job: Job) -> None:
    script = job_script(Path("/data/run"), "hypoxia-hpc", job.folder / "a b.sif", [], SiteTable(), retry=False)
    ran = job.run(script, "train")
    assert ran.code == 4
    assert f"the image {job.folder}/a\\ b.sif is not there" in ran.printed
    assert ran.of("srun") == []


def test_memory_of_another_allocation_does_not_reach_srun(job: Job) -> None:
    job.does(f'env >"{job.folder}/environment"')
    around = {"SLURM_MEM_PER_NODE": "4000", "SLURM_MEM_PER_CPU": "512", "SLURM_MEM_PER_GPU": "512"}
    assert job.run(job.script(), "train", **around).code == 0
    told = (job.folder / "environment").read_text()
    assert "SLURM_MEM_PER_NODE" in told
    assert "SLURM_MEM_PER_CPU" not in told and "SLURM_MEM_PER_GPU" not in told


@pytest.mark.parametrize("link", [False, True])
def test_a_temporary_folder_of_somebody_else_is_left_alone(job: Job, link: bool) -> None:
    folder = job.folder / "tmp dir" / "hypoxia-70"
    theirs = job.folder / "theirs" if link else folder
    theirs.mkdir(parents=True)
    (theirs / "kept").touch()
    if link:
        folder.parent.mkdir()
        folder.symlink_to(theirs)
    elif os.geteuid():
        pytest.skip("only root can make a folder of another user")
    else:
        os.chown(theirs, 12345, 12345)
    ran = job.run(job.script(), "train")
    assert (ran.code, ran.of("srun")) == (4, [])
    assert "belongs to another user" in ran.printed
    assert (theirs / "kept").exists()


@pytest.mark.parametrize(
    ("squeue", "goes"),
    [
        ("exit 0", True),  # over, and known still
        ("echo slurm_load_jobs error: Invalid job id specified >&2; exit 1", True),
        ("echo 69 normal hypoxia R", False),
        ("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1", False),
    ],
)
def test_folders_of_killed_jobs_go_where_slurm_says_that_they_are_over(job: Job, squeue: str, goes: bool) -> None:
    left = job.folder / "tmp dir" / "hypoxia-69"
    left.mkdir(parents=True)
    (left / "half").touch()
    (job.folder / "bin").mkdir()
    (job.folder / "bin" / "squeue").write_text(f"#!/bin/sh\n{squeue}\n")
    (job.folder / "bin" / "squeue").chmod(0o755)
    ran = job.run(job.script(), "train", PATH=f"{job.folder}/bin:{os.environ['PATH']}")
    assert ran.code == 0
    assert left.exists() != goes


def test_commands_that_are_told_can_be_pasted(job: Job) -> None:
    job.does("exit 3")
    printed = job.run(job.script(run="/data/a b;c"), "train").printed
    assert shlex.split(printed.splitlines()[-1])[-3:] == ["hypoxia-hpc", "status", "/data/a b;c"]


def test_names_of_any_kind_reach_the_program_unchanged(job: Job) -> None:
    run = f"/data/{NASTY}"
    script = job.script(run=run, account=NASTY, binds=(NASTY,), mpi=NASTY)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    job.run(script, "train")
    assert job.arguments == ["train", run]
    assert not Path("owned").exists()


def test_line_breaks_are_refused() -> None:
    for run in ("/data/a\nb", "/data/a\x1b[1m", "/data/\udcff"):
        with pytest.raises(InputError, match="line break"):
            job_script(Path(run), "p", None, [], SiteTable(), retry=False)
    with pytest.raises(InputError, match="line break"):
        sbatch_arguments(ASK, None, None, Path("/a\nb"), "s", None, SlurmTable())


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20).filter(
        lambda text: "$" not in text
    )
)
def test_scratch_is_quoted_but_for_names(text: str) -> None:
    value = f"$BASE/{text}/${{JOB}}"
    echo = f"printf %s {quoted_with_names(value)}"
    done = subprocess.run(
        ["bash", "-c", echo], capture_output=True, text=True, env={"BASE": "/b b", "JOB": "7*"}, check=True
    )
    assert done.stdout == f"/b b/{text}/7*"


def test_a_dollar_that_names_nothing_is_no_command() -> None:
    assert shlex.split(quoted_with_names("/a/$(id)/$5/$")) == ["/a/$(id)/$5/$"]


def test_scratch_is_relative_to_the_run_and_home_is_filled_in(job: Job) -> None:
    for scratch, expected in (("tmp", "/data/run/tmp"), ("/fast", "/fast"), ("$X/y", '"$X"/y'), (None, "")):
        site = with_paths(SiteTable(scratch=scratch), Path("/data/run"))
        script = job_script(Path("/data/run"), "p", None, [], site, retry=False)
        assert f"\nHYPOXIA_SCRATCH={expected}\n" in script
    site = with_paths(SiteTable(scratch="~/tmp"), Path("/r"))
    assert "~" not in job_script(Path("/r"), "p", None, [], site, retry=False).partition("---")[0]


def test_arguments_of_sbatch() -> None:
    table = SlurmTable(account="a b", qos="q", throttle=5, stop_seconds=120)
    request = JobRequest("tile", (0, 2), 8, 2, 4, 4, 4000, 75, "cpu", None, throttle=5)
    script = Path("/data/100%/slurm/job.sbatch")
    arguments = sbatch_arguments(
        request, Array(1001, (0, 1, 2, 7)), 3, Path("/data/100%"), "today", "afterany:5:6", table
    )
    assert arguments == [
        *("--parsable", "--requeue", "--kill-on-invalid-dep=yes", "--job-name=tile-100%", "--chdir=/data/100%"),
        *("--output=/data/100%%/slurm/logs/today/tile-%A_%a.out", "--open-mode=append", "--signal=B:USR1@120"),
        *("--account=a b", "--qos=q", "--partition=cpu", "--nodes=2", "--ntasks=4", "--cpus-per-task=4"),
        *("--mem=4000M", "--time=75", "--array=0-2,7%3", "--dependency=afterany:5:6", str(script), "tile", "8", "1001"),
    ]


def test_a_job_without_array_waits_for_nothing_where_it_is_first() -> None:
    request = JobRequest("train", None, 1, 1, 1, 4, 4000, 75, None, "gpu:1")
    arguments = sbatch_arguments(request, None, None, Path("/r"), "today", None, SlurmTable())
    assert "--output=/r/slurm/logs/today/train-%j.out" in arguments
    assert "--gres=gpu:1" in arguments
    assert arguments[-2:] == ["/r/slurm/job.sbatch", "train"]
    assert not [one for one in arguments if one.startswith(("--array", "--dependency", "--partition"))]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [("per-node", ["--mem=8001M"]), ("per-cpu", ["--mem-per-cpu=1001M"]), ("none", [])],
)
def test_memory_is_asked_for_as_the_site_takes_it(memory: Memory, expected: list[str]) -> None:
    request = replace(ASK, nodes=2, ranks=3, memory_mb=8001, memory=memory)  # at most two ranks of four cores a node
    arguments = sbatch_arguments(request, None, None, Path("/r"), "today", None, SlurmTable())
    assert [one for one in arguments if one.startswith("--mem")] == expected


def test_further_options_are_passed_on_and_a_stage_has_its_own() -> None:
    further = {
        **{"constraint": "gpu&ib", "reservation": "r", "exclude": "n[1-2]", "nodelist": "n3", "licenses": "fs:2"},
        **{"nice": 0, "mail_type": "END,FAIL", "mail_user": "a@b.c", "comment": "it's", "export": "NONE"},
        "hint": "nomultithread",
    }
    table = SlurmTable.model_validate({**further, "account": "a", "tile": {"account": "b", "comment": "c"}})
    of_tile, of_train = (
        sbatch_arguments(replace(ASK, stage=stage), None, None, Path("/r"), "today", None, table)
        for stage in ("tile", "train")
    )
    expected = {f"--{entry.replace('_', '-')}={value}" for entry, value in further.items()}
    assert expected | {"--account=a"} <= set(of_train)
    assert (expected - {"--comment=it's"}) | {"--account=b", "--comment=c"} <= set(of_tile)


def test_nodes_of_the_site_and_of_the_request_are_passed_over_together() -> None:
    table = SlurmTable(exclude="a1")
    asked = replace(ASK, exclude=("n1", "n2"))
    assert "--exclude=a1,n1,n2" in sbatch_arguments(asked, Array(0, (0,)), None, Path("/run"), "now", None, table)
    assert "--exclude=n1,n2" in sbatch_arguments(asked, Array(0, (0,)), None, Path("/run"), "now", None, SlurmTable())


def test_what_srun_would_not_hand_on_after_export_none_reaches_the_step(job: Job) -> None:
    job.does(f'env >"{job.folder}/environment"')
    assert job.run(job.script(), "train", SLURM_EXPORT_ENV="NONE").code == 0
    assert "SLURM_EXPORT_ENV" not in (job.folder / "environment").read_text()


def test_the_image_sees_few_folders_and_no_whole_first_level() -> None:
    folders = [Path(name) for name in ("/data/tcga/a", "/data/tcga/b/c", "/data/own", "/opt/x/y", "/opt/z", "/flat")]
    assert bound_folders(folders) == ["/data/own", "/data/tcga", "/flat", "/opt/x/y", "/opt/z"]
    assert bound_folders([Path("/data"), Path("/data/tcga/a")]) == ["/data"]
    assert bound_folders([]) == []


def test_what_a_program_on_the_way_would_take_apart_is_refused_all_at_once() -> None:
    table = SlurmTable(binds=("/a,/b", "/c:/d"), modules=("one two", "three"))
    with pytest.raises(InputError) as caught:
        refuse_unusable(Path("/run\\s"), ["/x:y", "/fine"], table)
    assert len(caught.value.offending) == 4
    refuse_unusable(Path("/run"), [], SlurmTable(binds=("/c:/d",)))


def test_the_job_of_the_report_writes_down_what_accounting_says(job: Job) -> None:
    run, bin_folder = job.folder / "the run", job.folder / "bin"
    (run / "slurm" / "jobs").mkdir(parents=True)
    for name in ("70", "71"):
        (run / "slurm" / "jobs" / f"{name}.json").touch()
    bin_folder.mkdir()
    for name in ("sacct", "sinfo"):
        (bin_folder / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (bin_folder / name).chmod(0o755)
    written = run / "slurm" / "accounting.txt"
    written.symlink_to(job.folder / "elsewhere")
    path = f"{bin_folder}:{os.environ['PATH']}"
    assert job.run(job.script(run=str(run)), "train", PATH=path).code == 0
    assert not written.exists()
    assert job.run(job.script(run=str(run)), "report", PATH=path).code == 0
    assert not (job.folder / "elsewhere").exists()
    said = written.read_text().splitlines()
    assert "--jobs=70,71" in said[0] and f"--format={','.join(SACCT_FIELDS)}" in said[0]
    assert said[1].endswith("--format=%N|%c")
