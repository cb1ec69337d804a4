"""What all workers share: the bandwidth of a file system, evenly divided, and the rate of its operations on names."""

from __future__ import annotations

import heapq
import itertools

from simpy import Environment, Event, Timeout

# Transfers that end within this part of the bytes of each other end together: rounding of sums.
ROUNDING = 1e-9


class Bandwidth:
    """All transfers that are under way have the same rate: an even part of ``total``, and ``each`` at most, in bytes a
    second (processor sharing; Kleinrock 1976). A transfer of a task that was killed goes on to its end."""

    def __init__(self, env: Environment, total: float, each: float) -> None:
        self._env, self._total, self._each = env, total, each
        self._numbers = itertools.count()
        # Bytes that every transfer under way has had since the first began, and with how many each is over.
        self._had, self._ends = 0.0, list[tuple[float, int, Event]]()
        self._at = env.now
        self._latest: Timeout | None = None

    def transfer(self, nbytes: float) -> Event:
        """An event at the end of it."""
        self._advance()
        done = self._env.event()
        heapq.heappush(self._ends, (self._had + nbytes, next(self._numbers), done))
        self._wait_for_next()
        return done

    @property
    def _rate(self) -> float:
        return min(self._each, self._total / len(self._ends))

    def _advance(self) -> None:
        if self._ends:
            self._had += self._rate * (self._env.now - self._at)
        self._at = self._env.now

    def _wait_for_next(self) -> None:
        if self._ends:
            left = max(0.0, self._ends[0][0] - self._had)
            self._latest = self._env.timeout(left / self._rate)
            self._latest.callbacks.append(self._end_first)

    def _end_first(self, event: Event) -> None:
        if event is not self._latest:
            return  # another transfer has begun since, and all are slower
        self._advance()
        self._had = max(self._had, self._ends[0][0])
        while self._ends and self._ends[0][0] <= self._had * (1 + ROUNDING):
            heapq.heappop(self._ends)[2].succeed()
        self._wait_for_next()


class Operations:
    """Operations on names are done one after the other, ``rate`` a second, in the order in which they are asked for."""

    def __init__(self, env: Environment, rate: float) -> None:
        self._env, self._rate, self._free_at = env, rate, env.now

    def do(self, number: float) -> Timeout:
        """An event when these are done."""
        self._free_at = max(self._free_at, self._env.now) + number / self._rate
        return self._env.timeout(self._free_at - self._env.now)
