"""Which part of a run this process works on, and with whom."""

from __future__ import annotations

from dataclasses import dataclass

from hypoxia_hpc.machine.cores import usable_cores
from hypoxia_hpc.records import Share
from hypoxia_hpc.workers.mpi import Ranks


@dataclass(frozen=True, slots=True)
class Allocation:
    """A share of the slides, and the MPI ranks that do it together; None: this process alone."""

    share: Share
    ranks: Ranks | None = None

    @property
    def rank(self) -> int:
        return self.ranks.rank if self.ranks is not None else 0

    @property
    def n_ranks(self) -> int:
        return self.ranks.size if self.ranks is not None else 1

    @property
    def cores(self) -> int:
        """Cores that this process should use; ranks that may run on the same ones divide them."""
        return max(1, usable_cores() // self.ranks.on_same_cores) if self.ranks is not None else usable_cores()


WHOLE = Allocation(Share())
