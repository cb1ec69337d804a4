"""The one place that imports mpi4py, and only when asked for.

Ranks exchange texts. A rank waits for another one only at the start and at the end of MPI. An error calls MPI_Abort
only where there is no other way: under srun that ends all ranks with 137, whatever the exit code, and mpiexec loses the
last lines of output.
"""

from __future__ import annotations

import os
import platform
import time
import zlib
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from hypoxia_hpc.errors import MachineError

# How launchers say how many ranks they started; what stands first is nearest to the ranks.
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS", "SLURM_NTASKS")
_TELLING_LOCAL = "MPI_LOCALNRANKS"
_NEWS, _CODE, _FAILURE = 1, 2, 3  # tags
# While a rank waits for others at the end. MPI itself would wait without a pause and keep a core busy; longer pauses
# delay the end by as much, for each message that has to pass.
SECONDS_BETWEEN_LOOKS = 0.001
# Less than the 30 that the jobs of ``submit`` give ranks to end after the first.
SECONDS_TO_LEAVE = 15.0


class RankFailedError(Exception):
    """Another rank failed, and has said why."""


class Ranks:
    """The ranks of this MPI job, of which this process is ``rank``, 0 <= rank < ``size``. ``on_same_cores`` ranks,
    this one among them, may run on the cores that this one may run on."""

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._world = mpi.COMM_WORLD
        self.rank: int = self._world.rank
        self.size: int = self._world.size
        self.on_same_cores = _on_same_cores(mpi)
        self._sending: list[tuple[Any, bytes]] = []
        self._code = 0
        self._failed_with: int | None = None

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size} on {platform.node()}"

    def send(self, text: str, to: int) -> None:
        """Send a text to a rank. Does not wait until it is received; ``finalize`` does."""
        self._send(text, to, _NEWS)

    def received(self) -> Iterator[tuple[int, str]]:
        """What has come so far: who sent it, and the text. Raises RankFailedError where another rank failed."""
        yield from self._take()
        if self._failed_with is not None:
            raise RankFailedError(f"another rank failed, with exit code {self._failed_with}")

    def code_of_the_first(self, seconds: float) -> int | None:
        """The exit code with which another rank failed; None where no rank says so within ``seconds``."""
        deadline = time.monotonic() + seconds
        while self._failed_with is None and time.monotonic() < deadline:
            for _ in self._take():
                pass
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return self._failed_with

    def abort(self, code: int) -> None:
        """Tell all others that this rank failed: they stop what they are doing and leave."""
        self._failed_with = code
        self._send_to_others(str(code), _FAILURE)

    def finalize(self, code: int) -> int:
        """End MPI on this rank, when the others do; all have to call this. Returns the exit code for all of them: of a
        failure, else what rank 0 gave.

        After a failure it waits SECONDS_TO_LEAVE, and then ends all ranks by force: a rank that does not come may be
        anywhere. Messages that no rank has read are received here: MPI_Finalize fails over messages on their way.
        """
        if self.rank == 0:
            self._code = code
            self._send_to_others(str(code), _CODE)
        all_received = force_at = None
        while all_received is None or not all_received.Test():
            for _ in self._take():
                pass
            if all_received is None and all(request.Test() for request, _ in self._sending):
                all_received = self._world.Ibarrier()
            if self._failed_with is not None:
                force_at = force_at or time.monotonic() + SECONDS_TO_LEAVE
                if time.monotonic() > force_at:
                    self._world.Abort(self._failed_with)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._mpi.Finalize()
        return self._code if self._failed_with is None else self._failed_with

    def _send_to_others(self, text: str, tag: int) -> None:
        for rank in range(self.size):
            if rank != self.rank:
                self._send(text, rank, tag)

    def _send(self, text: str, to: int, tag: int) -> None:
        data = text.encode()
        self._sending = [(request, kept) for request, kept in self._sending if not request.Test()]
        # Synchronous, so that it is known when it has been received.
        self._sending.append((self._world.Issend([data, self._mpi.BYTE], to, tag), data))

    def _take(self) -> Iterator[tuple[int, str]]:
        status = self._mpi.Status()
        while self._world.Iprobe(status=status):
            data = bytearray(status.Get_count(self._mpi.BYTE))
            self._world.Recv([data, self._mpi.BYTE], status.source, status.tag)
            if status.tag == _CODE:
                self._code = int(data)
            elif status.tag == _FAILURE:
                self._failed_with = min(int(data), self._failed_with or int(data))  # the same on all ranks
            else:
                yield status.source, data.decode()


def joined_ranks() -> Ranks:
    """Start MPI; all ranks have to. Raises MachineError where there is no MPI library, or where it does not find the
    other ranks."""
    mpi = _started_mpi()
    ranks = Ranks(mpi)
    refuse_lone_ranks(ranks.size, os.environ, mpi_name(mpi.Get_library_version()))
    return ranks


def refuse_lone_ranks(size: int, environment: Mapping[str, str], library: str) -> None:
    """Raises MachineError where the launcher started more ranks than MPI sees: each would do all the slides."""
    launched, said_by = launched_ranks(environment)
    if launched == size or (said_by == _TELLING_LOCAL and launched < size):
        return
    raise MachineError(
        f"{launched} ranks were started ({said_by}={launched}), but this one sees {size}: its MPI library ({library}) "
        "and the launcher do not find each other (PMI mismatch), and each rank would do all the slides",
        remedy="use the mpiexec of that very library, or srun --mpi=pmi2 for MPICH, srun --mpi=pmix for Open MPI (srun "
        "--mpi=list shows what there is; in a container it is the container's library that counts); in a batch script "
        "put srun before the command; look with: hypoxia-hpc doctor, started in the same way",
    )


def launched_ranks(environment: Mapping[str, str]) -> tuple[int, str]:
    """How many ranks the launcher says that it started, and the variable that tells; 1 and nothing without one."""
    for name in SIZES:
        value = environment.get(name, "")
        if value.isascii() and value.isdigit() and int(value):
            return int(value), name
    return 1, ""


def mpi_library() -> tuple[str, bool]:
    """The MPI library that mpi4py finds here, and true; or why there is none, and false. Does not start MPI: libraries
    of some clusters end a process that does so outside of a job."""
    try:
        return mpi_name(_mpi().Get_library_version()), True
    except (ImportError, RuntimeError) as error:
        return str(error).partition("\n")[0], False


def mpi_name(version: str) -> str:
    """``MPICH 5.0.2``, ``Open MPI v5.0.8``: the first line of what a library tells, without what is not its name."""
    first_line = version.partition("\n")[0].strip("\0 ")
    return " ".join(first_line.partition(",")[0].replace("Version:", "").split())


def _started_mpi() -> Any:
    try:
        mpi = _mpi()
    except (ImportError, RuntimeError) as error:
        raise MachineError(
            f"--mpi: mpi4py finds no MPI library here: {str(error).partition(chr(10))[0]}",
            remedy="pip install mpich, or load the module of your cluster's MPI; without --mpi none is needed",
        ) from error
    if not mpi.Is_initialized():
        mpi.Init_thread(mpi.THREAD_FUNNELED)
    return mpi


def _mpi() -> Any:
    """mpi4py's module; its import starts nothing, and who starts MPI and does not leave ends it with the process."""
    import mpi4py

    mpi4py.rc(initialize=False, finalize=True)
    if "PMI_FD" in os.environ and "SLURM_PROCID" in os.environ:
        # srun --mpi=pmi2 breaks lines of more than 1,024 bytes, and MPICH over UCX sends such lines: its addresses take
        # 4,096 bytes, filled up with what memory held before (SLURM 22.05, MPICH 5.0.2). Those of OFI are short.
        os.environ.setdefault("MPIR_CVAR_CH4_NETMOD", "ofi")
    from mpi4py import MPI

    return MPI


def _on_same_cores(mpi: Any) -> int:
    """How many ranks of this node may run on the same cores as this one: one where a launcher binds ranks to cores."""
    node = mpi.COMM_WORLD.Split_type(mpi.COMM_TYPE_SHARED)
    mine = array("L", [zlib.crc32(repr(sorted(os.sched_getaffinity(0))).encode())])
    every = array("L", [0] * node.size)
    node.Allgather([mine, mpi.UNSIGNED_LONG], [every, mpi.UNSIGNED_LONG])
    node.Free()
    return every.count(mine[0])
