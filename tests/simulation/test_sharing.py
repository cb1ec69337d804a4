"""The shared file system: bandwidth evenly divided, operations one after the other; against slow twins and formulas."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import pytest
from naive import ends_of_transfers
from simpy import Environment, Event

from hypoxia_hpc.simulation.sharing import Bandwidth, Operations


def ends(transfers: list[tuple[float, float]], total: float, each: float) -> list[float]:
    """When transfers of (begin, bytes) end."""
    env, found = Environment(), dict[int, float]()
    bandwidth = Bandwidth(env, total, each)

    def one(number: int, begin: float, nbytes: float) -> Generator[Event, Any, None]:
        yield env.timeout(begin)
        yield bandwidth.transfer(nbytes)
        found[number] = env.now

    for number, (begin, nbytes) in enumerate(transfers):
        env.process(one(number, begin, nbytes))
    env.run()
    return [found[number] for number in range(len(transfers))]


def test_one_transfer_has_what_a_worker_may_have() -> None:
    assert ends([(0, 100)], total=50, each=10) == [10]


def test_transfers_at_once_share_evenly_and_the_last_one_has_all() -> None:
    assert ends([(0, 100), (0, 300)], total=10, each=10) == pytest.approx([20, 40])


@pytest.mark.parametrize("seed", range(5))
def test_random_transfers_as_the_slow_twin_has_them(seed: int) -> None:
    drawn = random.Random(seed)
    transfers = [(drawn.uniform(0, 20), drawn.uniform(1, 100)) for _ in range(40)]
    assert ends(transfers, 30, 8) == pytest.approx(ends_of_transfers(transfers, 30, 8), abs=0.05)


def test_bytes_over_bandwidth_is_the_least_time() -> None:
    assert max(ends([(0, 1e9)] * 500, total=10e9, each=1e9)) == pytest.approx(50)


def test_operations_wait_as_in_a_queue_with_one_server() -> None:
    """Poisson arrivals, exponential numbers of operations: mean time in the system 1 / (mu - lambda)."""
    env, drawn, spent = Environment(), random.Random(1), list[float]()
    operations, arrivals, served = Operations(env, 1.0), 0.7, 1.0

    def one() -> Generator[Event, Any, None]:
        began = env.now
        yield operations.do(drawn.expovariate(served))
        spent.append(env.now - began)

    def all_of_them() -> Generator[Event, Any, None]:
        for _ in range(200_000):
            yield env.timeout(drawn.expovariate(arrivals))
            env.process(one())

    env.process(all_of_them())
    env.run()
    assert sum(spent) / len(spent) == pytest.approx(1 / (served - arrivals), rel=0.03)
