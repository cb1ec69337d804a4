"""Where the time of the nodes goes. Sums alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What node-seconds are spent on, and what the name means to a reader.
SPENT: Mapping[str, str] = {
    "work": "the work itself",
    "start": "tasks that start",
    "bytes": "waiting for bytes of the shared file system",
    "names": "waiting for operations on names of the shared file system",
    "slow": "slow nodes",
    "lost": "work that was stopped or died, and is done again",
    "last": "workers of a task that have no slide left while another still works",
    "free": "cores that SLURM has not given to the next element yet",
    "fit": "cores or GPUs of nodes that no whole element fits into",
    "queue": "elements that wait for the controller, for jobs of others, or after a requeue",
    "throttle": "elements that wait because of [site.slurm] throttle",
    "dead": "nodes that are down",
    "few": "nodes that no element is for: there are too few elements",
    "uneven": "nodes whose elements have ended while others still run",
}
# Of elements that have their cores; ``last`` is what they had them for beyond that.
OF_ELEMENTS = ("work", "start", "bytes", "names", "slow", "lost", "free")


@dataclass(slots=True)
class Accounts:
    """Node-seconds, by the names of `SPENT`. ``held``: those that elements had."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SPENT, 0.0))
    held: float = 0.0

    def add(self, name: str, seconds: float) -> None:
        """Node-seconds that were spent on this."""
        self.spent[name] += seconds

    def close(self) -> None:
        """What elements had and is named by none of `OF_ELEMENTS` is waiting for the last workers; below 0 by rounding
        alone."""
        self.spent["last"] = max(0.0, self.held - sum(self.spent[name] for name in OF_ELEMENTS))

    @property
    def whole(self) -> float:
        """All node-seconds."""
        return sum(self.spent.values())


@dataclass(frozen=True, slots=True)
class Idle:
    """What is known at one time, in nodes: how many there are and are down, how many elements have, what of the others
    is too small for an element (``unfit``), how many elements wait for the controller (``queued``) or are held by a
    throttle, and for how many there are elements at all in the stages that are under way (``wanted``)."""

    nodes: int
    dead: float
    held: float
    unfit: float
    queued: float
    throttled: float
    wanted: float

    def causes(self) -> dict[str, float]:
        """The nodes that have nothing to do, by cause: each cause takes what the ones before have left."""
        left, found = self.nodes - self.held, {}
        bounds = {
            "dead": self.dead,
            "fit": self.unfit,
            "queue": self.queued,
            "throttle": self.throttled,
            "few": max(0.0, self.nodes - self.wanted),
        }
        for name, most in bounds.items():
            found[name] = max(0.0, min(most, left))
            left -= found[name]
        return {**found, "uneven": max(0.0, left)}
