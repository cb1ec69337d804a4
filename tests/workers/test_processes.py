"""A worker process that is started before it is known what there is to do."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable

import pytest

from hypoxia_hpc.workers.pool import Finished, deal
from hypoxia_hpc.workers.processes import started_ahead

RARE = "this"  # a module that nothing imports


def pid_and_imported(item: str, tick: Callable[[int], None]) -> tuple[int, bool]:
    return os.getpid(), RARE in sys.modules


def worked_on() -> list[tuple[int, bool]]:
    """Process id of the worker of one item, and whether it had imported the rare module."""
    events = deal(["item"], pid_and_imported, workers=1, stop=threading.Event())
    return [event.result for event in events if isinstance(event, Finished)]


def test_the_first_worker_is_the_one_that_was_started_ahead() -> None:
    with started_ahead([RARE]):
        (ahead,) = multiprocessing.active_children()
        assert worked_on() == [(ahead.pid, True)]
        assert multiprocessing.active_children() == []


@pytest.mark.parametrize("modules", [[RARE], []])
def test_it_ends_where_it_is_not_needed(modules: list[str]) -> None:
    with pytest.raises(KeyError), started_ahead(modules):
        assert len(multiprocessing.active_children()) == len(modules)
        raise KeyError
    assert multiprocessing.active_children() == []


def test_one_that_died_waiting_costs_the_item_no_attempt() -> None:
    with started_ahead([RARE]):
        (ahead,) = multiprocessing.active_children()
        ahead.kill()
        ahead.join()
        ((pid, has_imported),) = worked_on()
        assert pid != ahead.pid
        assert not has_imported
