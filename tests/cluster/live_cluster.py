"""The live cluster as tests use it: commands as the unprivileged user, jobs and their ends, nodes that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from waiting import wait_until

SCRIPT = Path(__file__).parent / "live" / "cluster"
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd")
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT"}
)

Completed = subprocess.CompletedProcess[str]
Node = Literal["n1", "n2"]


def why_not() -> str:
    """Why no cluster can be brought up here; empty if one can."""
    if os.geteuid():
        return "a cluster needs root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (as root: {SCRIPT} install)" if missing else ""


def control(*arguments: str, timeout: float = 120) -> Completed:
    """Run the script that brings the cluster up and down. Raises AssertionError with what it said if it fails."""
    return _checked(subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=timeout, check=False))


def is_up() -> bool:
    """Whether all daemons and both nodes answer."""
    return subprocess.run([SCRIPT, "status"], capture_output=True, timeout=60, check=False).returncode == 0


# Each look is a command of SLURM.
until = partial(wait_until, pause=0.3)


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up: nodes n1 and n2, two cores each; partitions normal and urgent, which preempts normal."""

    folder: Path  # of this session, the user's own
    home: Path  # the cluster's folder: log/, slurm.conf, …
    user: str
    environment: Mapping[str, str]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        user: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        check: bool = False,
        cwd: Path | None = None,
    ) -> Completed:
        """Run a command as the user (``user=False``: as root) with the cluster's environment, ``env`` on top. Nothing
        of the tests' own environment is in it. ``check``: AssertionError if it fails."""
        done = subprocess.run(
            [*map(str, argv)],
            env={**self.environment, **(env or {})},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **({"user": self.user, "group": self.user, "extra_groups": []} if user else {}),
        )
        return _checked(done) if check else done

    def sbatch(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Submit as the user, by the arguments of sbatch; the job's id."""
        return self.run(["sbatch", "--parsable", *arguments], env=env, check=True).stdout.strip()

    def squeue_states(self, job: str) -> dict[str, str]:
        """State of a job, or of each element of an array (``{"7_0": "RUNNING", …}``), for ten minutes after its end."""
        command = ["squeue", "-h", "-r", "-t", "all", "-o", "%i %T", "-j", job]
        return dict(line.split() for line in self.run(command, check=True).stdout.splitlines())

    def wait(self, job: str, timeout: float = 60, *, hurry: bool = True) -> dict[str, str]:
        """States once all elements of a job have ended. ``hurry``: whatever is requeued starts again at once.
        Raises TimeoutError with the queue and the controller's last words."""

        def ended() -> bool:
            if hurry:
                self.hurry()
            return ENDED.issuperset(self.squeue_states(job).values())

        until(ended, timeout, lambda: self.explain(f"job {job} ends"))
        return self.squeue_states(job)

    def wait_for(self, job: str, state: str, timeout: float = 30) -> None:
        """Wait until all elements of a job are in a state. Raises TimeoutError."""
        until(
            lambda: {*self.squeue_states(job).values()} == {state}, timeout, lambda: self.explain(f"{job} is {state}")
        )

    def hurry(self, job: str = "") -> list[str]:
        """Start in three seconds what SLURM holds back for two minutes after a requeue: of one job, or of all. At once,
        a slurmd that has just ended the job refuses ("Job credential revoked"), and SLURM gives it up. Who was held."""
        form = "JobArrayID:40,EligibleTime:30"
        command = ["squeue", "-h", "-r", "-t", "PENDING", "-O", form, *(["-j", job] if job else [])]
        fields = [line.split() for line in self.run(command, check=True).stdout.splitlines()]
        soon = (datetime.now() + timedelta(seconds=5)).isoformat(timespec="seconds")
        held = [one for one, eligible in fields if eligible[0].isdigit() and eligible > soon]
        for one in held:
            self.run(["scontrol", "update", f"jobid={one}", "StartTime=now+3seconds"])
        return held

    def scontrol(self, *arguments: str) -> str:
        """What scontrol says, asked by root."""
        return self.run(["scontrol", *arguments], user=False, check=True).stdout

    def node_states(self) -> dict[str, str]:
        """``{"n1": "idle", "n2": "down*"}``"""
        lines = self.run(["sinfo", "-h", "-N", "-p", "normal", "-o", "%N %T"], check=True).stdout.splitlines()
        return dict(line.split() for line in lines)

    def kill_node(self, node: Node) -> None:
        """SIGKILL slurmd alone; what it started runs on, and the node is down after 15 seconds."""
        control("kill-node", node)

    def crash_node(self, node: Node) -> None:
        """SIGKILL slurmd and all it started, as if the node had lost its power."""
        control("crash-node", node)

    def restart_node(self, node: Node) -> None:
        """Start slurmd again, and wait until the node takes jobs."""
        control("restart-node", node)

    @contextmanager
    def without_controller(self) -> Iterator[None]:
        """SIGKILL slurmctld; what runs runs on, and accounting answers. At the end it is there again."""
        # It writes down what is in the queue within seconds after a change, and forgets what it has not written.
        saved, asked = self.home / "state" / "job_state", time.time()
        self.sbatch("--hold", "--output=/dev/null", "--job-name=last", "--wrap=true")
        until(lambda: saved.stat().st_mtime > asked, 30, lambda: self.explain("the queue is saved"))
        control("kill-controller")
        try:
            yield
        finally:
            control("restart-controller")
            self.run(["scancel", "--name=last"], check=True)

    def calm(self, timeout: float = 60) -> None:
        """Cancel all jobs and bring both nodes back, whatever a test has done. Raises TimeoutError."""
        self.run(["scancel", "--user", self.user], user=False, check=True)
        for node, state in self.node_states().items():
            if state.startswith(("down", "drain")):
                self.scontrol("update", f"nodename={node}", "state=resume")
            control("restart-node", node)
        until(lambda: {*self.node_states().values()} == {"idle"}, timeout, lambda: self.explain("both nodes are idle"))

    def explain(self, wish: str) -> str:
        """Queue, nodes and the end of the controller's log, for the message of a test that waited in vain."""
        queue = self.run(["squeue", "-r", "-o", "%i %j %P %T %r %N"]).stdout
        log = (self.home / "log" / "slurmctld.log").read_text(errors="replace").splitlines()[-20:]
        return "\n".join([wish, queue, str(self.node_states()), *log])


def bring_up() -> Cluster:
    """Bring the cluster up, if it is not, with a new work folder. Raises AssertionError with what went wrong."""
    said = dict(line.split("=", maxsplit=1) for line in control("up").stdout.splitlines())
    user, home = said["HYPOXIA_CLUSTER_USER"], Path(said["HYPOXIA_CLUSTER_FOLDER"])
    control("allow", sys.executable, sys.base_prefix + "/bin", str(SCRIPT))
    folder = home / "work" / f"session-{os.getpid()}-{time.time_ns()}"
    folder.mkdir()
    shutil.chown(folder, user, user)
    path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    names = {"HOME": str(Path(f"~{user}").expanduser()), "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"}
    cluster = Cluster(folder, home, user, {**names, "PATH": path, "SLURM_CONF": said["SLURM_CONF"]})
    cluster.run([sys.executable, "-c", "import hypoxia_hpc"], check=True)
    return cluster


def _checked(done: Completed) -> Completed:
    if done.returncode:
        raise AssertionError(f"{done.args} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
