"""The one place that imports mpi4py, and only when asked for.

Ranks exchange texts. Nothing here waits for another rank, but joining at the start and agreeing at the end.
"""

from __future__ import annotations

import os
import platform
import time
import zlib
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from hypoxia_hpc.errors import MachineError

# How launchers say how many ranks they started; what stands first is nearest to the ranks.
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS", "SLURM_NTASKS")
_TELLING_LOCAL = "MPI_LOCALNRANKS"
SECONDS_BETWEEN_LOOKS = 0.001
SECONDS_TO_BE_HEARD = 1.0  # mpiexec loses what a rank says right before it aborts


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

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size} on {platform.node()}"

    def send(self, text: str, to: int) -> None:
        """Send a text to a rank. Does not wait until it is received; ``leave`` does, therefore a synchronous send."""
        data = text.encode()
        self._sending = [(request, kept) for request, kept in self._sending if not request.Test()]
        self._sending.append((self._world.Issend([data, self._mpi.BYTE], to), data))

    def received(self) -> Iterator[tuple[int, str]]:
        """What has come so far: who sent it, and the text."""
        status = self._mpi.Status()
        while self._world.Iprobe(status=status):
            data = bytearray(status.Get_count(self._mpi.BYTE))
            self._world.Recv([data, self._mpi.BYTE], status.source)
            yield status.source, data.decode()

    def agreed(self, code: int) -> int:
        """The code of rank 0, on every rank; all have to call this."""
        codes = array("i", [code])
        self._world.Bcast([codes, self._mpi.INT])
        return codes[0]

    def leave(self) -> None:
        """End MPI on this rank, when the others do; all have to call this. What nobody has received is received before:
        MPI_Finalize fails over messages that are under way, and mpiexec then takes all ranks for lost."""
        nobody_sends = None
        while nobody_sends is None or not nobody_sends.Test():
            for _ in self.received():
                pass
            if nobody_sends is None and all(request.Test() for request, _ in self._sending):
                nobody_sends = self._world.Ibarrier()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._mpi.Finalize()

    def abort(self, code: int) -> NoReturn:
        """End all ranks, wherever they are, with this exit code."""
        time.sleep(SECONDS_TO_BE_HEARD)
        self._world.Abort(code)
        raise AssertionError("MPI_Abort returned")


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


def mpi_name(told: str) -> str:
    """``MPICH 5.0.2``, ``Open MPI v5.0.8``: the first line of what a library tells, without what is not its name."""
    first_line = told.partition("\n")[0].strip("\0 ")
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
    """mpi4py's module; its import starts nothing."""
    import mpi4py

    mpi4py.rc(initialize=False)
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
