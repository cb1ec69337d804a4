"""What others take of the cores that a case may use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from hypoxia_hpc.bench.neighbours import (
    TICKS_A_SECOND,
    Look,
    Process,
    look,
    parsed_process,
    parsed_stat,
    share_of_others,
    ticks_of,
)
from hypoxia_hpc.bench.rounds import on_one_core

STAT = """\
cpu  700 20 300 9000 50 6 4 100 30 0
cpu0 400 10 100 4000 20 3 2 50 30 0
cpu11 300 10 200 5000 30 3 2 50 0 0
intr 12345 0 9
ctxt 1
"""


def test_idle_time_and_waiting_for_disks_are_no_use_and_what_the_host_took_is() -> None:
    assert parsed_stat(STAT) == {0: 565 / TICKS_A_SECOND, 11: 565 / TICKS_A_SECOND}


@pytest.mark.parametrize(
    ("used", "ours", "share"),
    [(4.0, 4.0, 0.0), (8.0, 4.0, 0.5), (3.9, 4.0, 0.0), (99.0, 0.0, 1.0)],  # ticks are rounded
)
def test_others_have_what_is_used_and_not_ours(used: float, ours: float, share: float) -> None:
    found = share_of_others(Look(10.0, (0, 1), 100.0, 50.0), Look(14.0, (0, 1), 100.0 + used, 50.0 + ours))
    assert found == pytest.approx(share)


def test_what_a_process_has_started_is_its_own() -> None:
    processes = {7: Process(1, 10), 8: Process(7, 20), 9: Process(8, 40), 1: Process(0, 1000), 2: Process(1, 500)}
    assert ticks_of(7, processes) == 70
    name = "4242 (a) b (c) S 17 4242 4242 0 -1 4194560 1 2 3 4 100 20 3 4000 20 0 1 0 12 0 0"
    assert parsed_process(name) == Process(17, 4123)


def test_a_process_that_this_one_has_started_is_no_other() -> None:
    with on_one_core():
        before = look()
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as ours:
            time.sleep(1)
            after = look()
            ours.kill()
    assert after.ours - before.ours > 0.2


def test_a_program_on_the_same_core_is_seen() -> None:
    with on_one_core():
        orphan = f"{sys.executable} -c 'while True: pass' >/dev/null 2>&1 & echo $!"  # its parent ends at once
        pid = int(subprocess.run(["sh", "-c", orphan], check=True, capture_output=True, text=True).stdout)
        try:
            before = look()
            until = time.perf_counter() + 1
            while time.perf_counter() < until:
                pass
            assert share_of_others(before, look()) > 0.2
        finally:
            os.kill(pid, signal.SIGKILL)
