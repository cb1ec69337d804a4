"""Real worker processes: killed, failing, stopped. Nothing is lost and no process is left behind."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import wait_until

from hypoxia_hpc.errors import MachineError, SlideError, Stopped
from hypoxia_hpc.workers.messages import Ticked
from hypoxia_hpc.workers.pool import DroppedItem, FailedItem, Finished, InOrder, Nothing, ProcessPool, deal

Tick = Callable[[int], None]
Events = list[Finished[str, str] | Ticked | FailedItem[str] | DroppedItem[str]]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@dataclass(frozen=True)
class Work:
    """Item ``name:what``: writes down who worked on it, then does ``what``, then returns its name in capitals."""

    folder: Path

    def __call__(self, item: str, tick: Tick) -> str:
        name, _, what = item.partition(":")
        with (self.folder / name).open("a") as file:
            file.write(f"{os.getpid()}\n")
        if what:
            getattr(self, f"_{what}")(len(self.pids(name)), tick)
        tick(len(name))
        return name.upper()

    def pids(self, name: str) -> list[int]:
        """Process ids of all attempts at an item so far."""
        return [int(line) for line in (self.folder / name).read_text().split()]

    def _dies(self, attempt: int, tick: Tick) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _dies_once(self, attempt: int, tick: Tick) -> None:
        if attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def _loses_its_image(self, attempt: int, tick: Tick) -> None:
        tick(1000)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGBUS)

    def _dies_in_the_middle_of_a_message(self, attempt: int, tick: Tick) -> None:
        if attempt == 1:
            pipe = tick.func.__self__.pipe  # type: ignore[attr-defined]
            os.write(pipe.fileno(), struct.pack("!i", 100) + b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    def _exits(self, attempt: int, tick: Tick) -> None:
        sys.exit(7)

    def _fails(self, attempt: int, tick: Tick) -> None:
        raise KeyError("a slip of ours")

    def _finds_no_space(self, attempt: int, tick: Tick) -> None:
        raise MachineError("the disk is full", remedy="free some", offending=["/disk"])

    def _raises_a_slide_error(self, attempt: int, tick: Tick) -> None:
        raise SlideError("no-mpp", "no header says", remedy="say it")

    def _is_told_to_end(self, attempt: int, tick: Tick) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(os.getpid(), number)

    def _waits(self, attempt: int, tick: Tick) -> None:
        tick(1000)
        began = time.monotonic()
        time.sleep(0.7)
        (self.folder / "waited").write_text(str(time.monotonic() - began))

    def _waits_for_ever(self, attempt: int, tick: Tick) -> None:
        tick(1000)
        time.sleep(600)

    def _stands_by(self, attempt: int, tick: Tick) -> None:
        time.sleep(600)

    def _dies_beside_others(self, attempt: int, tick: Tick) -> None:
        self._meet_others(attempt)
        os.kill(os.getpid(), signal.SIGKILL)

    def _dies_beside_others_once(self, attempt: int, tick: Tick) -> None:
        """And once more alone."""
        self._meet_others(attempt)
        if attempt <= 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def _exits_beside_others(self, attempt: int, tick: Tick) -> None:
        self._meet_others(attempt)
        sys.exit(7)

    def _is_killed_beside_others(self, attempt: int, tick: Tick) -> None:
        self._meet_others(attempt)
        time.sleep(600 if attempt == 1 else 0.2)

    def _meet_others(self, attempt: int) -> None:
        (self.folder / f"met-{threading.get_ident()}").touch()
        while attempt == 1 and len([*self.folder.glob("met-*")]) < 2:
            time.sleep(0.01)


class Startled(Work):
    """Is sent signals in a worker process that is still starting."""

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(os.getpid(), number)


class Unbegun(Work):
    """Ends a worker process that is still starting."""

    def __setstate__(self, state: dict[str, object]) -> None:
        os._exit(255)


class BegunLate(Work):
    """Ends the first worker process while that is still starting."""

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        with suppress(FileExistsError):
            (self.folder / "ended").touch(exist_ok=False)
            os._exit(255)


class BegunEveryOtherTime(Work):
    """Ends the first worker process and the third while they are still starting."""

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        starts = len(list(self.folder.glob("start-*")))
        (self.folder / f"start-{starts}").touch()
        if starts in (0, 2):
            os._exit(255)


def all_events(items: list[str], work: Work, workers: int = 2) -> Events:
    return list(deal(items, work, workers=workers, stop=threading.Event()))


def two_at_once(items: list[str], work: Work, workers: int = 1, stop: threading.Event | None = None) -> Events:
    stop = stop or threading.Event()
    pool: ProcessPool[str, str] = ProcessPool(work, workers, stop, at_once=2)
    return list(pool.events(InOrder(deque(items), stop)))


def finished(events: Events) -> dict[str, str]:
    return {event.item: event.result for event in events if isinstance(event, Finished)}


def failed(events: Events) -> list[FailedItem[str]]:
    return [event for event in events if isinstance(event, FailedItem)]


def test_every_item_is_worked_on_once(tmp_path: Path) -> None:
    work, items = Work(tmp_path), [f"item{n:02d}" for n in range(12)]
    events = all_events(items, work)
    assert finished(events) == {item: item.upper() for item in items}
    assert sum(event.tiles for event in events if isinstance(event, Ticked)) == 12 * 6
    assert len(events) == 24
    assert {len(work.pids(item)) for item in items} == {1}
    assert os.getpid() not in {work.pids(item)[0] for item in items}


def test_one_worker_keeps_the_order(tmp_path: Path) -> None:
    items = ["c", "a", "b"]
    assert list(finished(all_events(items, Work(tmp_path), workers=1))) == items


def test_no_items_no_workers(tmp_path: Path) -> None:
    assert all_events([], Work(tmp_path)) == []


@pytest.mark.parametrize("how", ["dies_once", "dies_in_the_middle_of_a_message"])
def test_a_killed_worker_costs_its_item_one_attempt(tmp_path: Path, how: str) -> None:
    work, items = Work(tmp_path), ["a", f"b:{how}", "c", "d"]
    events = all_events(items, work)
    assert finished(events) == {item: item[0].upper() for item in items}
    assert failed(events) == []
    first, second = work.pids("b")
    assert first != second
    assert {len(work.pids(name)) for name in "acd"} == {1}


def test_killed_twice_is_enough(tmp_path: Path) -> None:
    work, items = Work(tmp_path), ["a:dies", "b", "c:dies", "d"]
    events = all_events(items, work)
    assert finished(events) == {"b": "B", "d": "D"}
    assert sorted((one.item, one.why, one.attempts) for one in failed(events)) == [
        ("a:dies", "worker-died", 2),
        ("c:dies", "worker-died", 2),
    ]
    assert all("SIGKILL" in one.detail and "memory" in one.detail for one in failed(events))
    assert [len(work.pids(name)) for name in "ac"] == [2, 2]


def test_a_worker_that_ends_by_itself_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    (one,) = failed(all_events(["a:exits"], Work(tmp_path)))
    assert (one.why, one.attempts) == ("worker-died", 2)
    assert "exit code 7" in one.detail


def test_a_bug_costs_one_item_and_comes_with_its_traceback(tmp_path: Path) -> None:
    work = Work(tmp_path)
    events = all_events(["a", "b:fails", "c"], work, workers=1)
    assert finished(events) == {"a": "A", "c": "C"}
    (one,) = failed(events)
    assert (one.item, one.why, one.attempts) == ("b:fails", "internal-error", 1)
    assert "KeyError: 'a slip of ours'" in one.detail
    assert "Traceback" in one.detail
    assert work.pids("a") == work.pids("b") == work.pids("c")  # the worker lives on


def test_what_no_other_item_would_survive_ends_it(tmp_path: Path) -> None:
    items = ["a:finds_no_space", "b:waits_for_ever", "c", "d"]
    with pytest.raises(MachineError, match="the disk is full") as caught:
        all_events(items, Work(tmp_path))
    assert (caught.value.remedy, caught.value.offending) == ("free some", ("/disk",))
    assert not (tmp_path / "d").exists()


def test_an_error_keeps_all_it_carries_on_its_way(tmp_path: Path) -> None:
    with pytest.raises(SlideError) as caught:
        all_events(["a:raises_a_slide_error"], Work(tmp_path))
    assert (caught.value.reason, caught.value.problem, caught.value.remedy) == ("no-mpp", "no header says", "say it")


def test_signals_are_for_the_parent(tmp_path: Path) -> None:
    work = Work(tmp_path)
    assert finished(all_events(["a:is_told_to_end", "b"], work, workers=1)) == {"a:is_told_to_end": "A", "b": "B"}
    assert work.pids("a") == work.pids("b")


def test_signals_are_for_the_parent_from_the_first_moment(tmp_path: Path) -> None:
    work = Startled(tmp_path)
    assert finished(all_events(["a"], work)) == {"a": "A"}
    assert len(work.pids("a")) == 1
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_stop_finishes_what_is_under_way_and_deals_nothing_more(tmp_path: Path) -> None:
    stop = threading.Event()
    done: Events = []
    with pytest.raises(Stopped, match="2 left to do"):
        for event in deal(["a:waits", "b", "c"], Work(tmp_path), workers=1, stop=stop):
            done.append(event)
            stop.set()  # at the first tick of "a"
    assert finished(done) == {"a:waits": "A"}
    assert (tmp_path / "waited").exists()
    assert not (tmp_path / "b").exists()


def test_stop_with_nothing_left_is_no_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    events: Events = []
    for event in deal(["a:waits"], Work(tmp_path), workers=1, stop=stop):
        events.append(event)
        stop.set()
    assert finished(events) == {"a:waits": "A"}


def test_stopped_before_it_began(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped, match="3 left to do"):
        list(deal(["a", "b", "c"], Work(tmp_path), workers=2, stop=stop))
    assert not [*tmp_path.iterdir()]


def test_who_stops_listening_leaves_no_process_behind(tmp_path: Path) -> None:
    events = deal(["a:waits_for_ever", "b:waits_for_ever"], Work(tmp_path), workers=2, stop=threading.Event())
    assert next(events) == Ticked(1000)
    events.close()  # type: ignore[attr-defined]


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, threading, pathlib; sys.path[:0] = sys.argv[2:];"
        "from test_pool import Work; from hypoxia_hpc.workers.pool import deal;"
        "list(deal(['a:waits_for_ever', 'b'], Work(pathlib.Path(sys.argv[1])), workers=1, stop=threading.Event()))"
    )
    here = Path(__file__).parent
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(here), str(here.parent)])
    wait_until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").read_text() != "")
    (pid,) = Work(tmp_path).pids("a")
    parent.kill()
    parent.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text(), 5)
    assert not (tmp_path / "b").exists()


class Slowly:
    """A source that has its items ready one after the other, each some turns after the one before."""

    def __init__(self, items: list[str], turns: int) -> None:
        self.items, self.turns, self.to_wait = [*items], turns, turns

    def next_item(self) -> str | Nothing:
        if not self.items:
            return Nothing.NO_MORE
        return Nothing.NOT_YET if self.to_wait else self.items.pop(0)

    def turn(self) -> float:
        self.to_wait = self.to_wait - 1 if self.to_wait else self.turns
        return 0.01


def test_items_may_come_late(tmp_path: Path) -> None:
    work, items = Work(tmp_path), ["a", "b:dies_once", "c", "d"]
    events = list(ProcessPool(work, 2, threading.Event()).events(Slowly(items, turns=20)))
    assert finished(events) == {item: item[0].upper() for item in items}


def test_workers_are_started_when_there_is_something_to_do(tmp_path: Path) -> None:
    pool = ProcessPool(Work(tmp_path), 8, threading.Event())
    assert finished(list(pool.events(Slowly(["a"], turns=5)))) == {"a": "A"}
    busy, idle = pool.seconds()
    assert len(busy) == len(idle) == 8
    assert [seconds > 0 for seconds in busy] == [True] + 7 * [False]


def test_busy_and_idle_time_is_all_the_time(tmp_path: Path) -> None:
    before = time.monotonic()
    pool = ProcessPool(Work(tmp_path), 2, threading.Event())
    begun = time.monotonic()
    for event in pool.events(Slowly(["a:waits", "b"], turns=5)):
        if event == Ticked(1000):
            assert "a:waits" in pool.in_flight
    over = time.monotonic()
    busy, idle = pool.seconds()
    after = time.monotonic()
    assert busy[0] >= float((tmp_path / "waited").read_text())
    assert pool.in_flight == []
    assert all(over - begun <= one + other <= after - before for one, other in zip(busy, idle, strict=True))


def test_a_worker_that_cannot_begin_is_no_fault_of_the_item(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"could not begin, 2 times in a row: .* exit code 255") as found:
        all_events(["a", "b"], Unbegun(tmp_path))
    assert "run the same command again" in found.value.remedy
    assert 'a script that uses hypoxia_hpc has to call it below if __name__ == "__main__":' in found.value.remedy
    assert not (tmp_path / "a").exists()


def test_a_worker_that_ends_while_it_starts_costs_no_attempt(tmp_path: Path) -> None:
    events = all_events(["a:dies_once", "b"], BegunLate(tmp_path), workers=1)
    assert finished(events) == {"a:dies_once": "A", "b": "B"}


def test_only_false_starts_in_a_row_are_counted(tmp_path: Path) -> None:
    events = all_events(["a:dies_once", "b"], BegunEveryOtherTime(tmp_path), workers=1)
    assert finished(events) == {"a:dies_once": "A", "b": "B"}
    assert len(list(tmp_path.glob("start-*"))) == 4


@pytest.mark.parametrize("seconds", [0, 0.7], ids=["heard before", "heard after"])
def test_a_worker_that_dies_with_the_whole_job_costs_no_attempt(tmp_path: Path, seconds: float) -> None:
    stop = threading.Event()
    work = Work(tmp_path)
    with pytest.raises(MachineError, match=r"while all was being stopped: .* SIGBUS"):
        for event in deal(["a:loses_its_image", "b"], work, workers=1, stop=stop):
            assert event == Ticked(1000)
            threading.Timer(seconds, stop.set).start()
    assert len(work.pids("a")) == 1
    assert not (tmp_path / "b").exists()


def test_a_worker_that_dies_alone_by_the_same_signal_costs_attempts(tmp_path: Path) -> None:
    (lost,) = failed(all_events(["a:loses_its_image", "b"], Work(tmp_path)))
    assert (lost.why, lost.attempts) == ("worker-died", 2)


# --- several items at once ---------------------------------------------------------------------------------------


class Logged(Work):
    """Writes down when each attempt began and ended; one that was killed has no end."""

    def __call__(self, item: str, tick: Tick) -> str:
        self._log("begin", item)
        result = super().__call__(item, tick)
        self._log("end", item)
        return result

    def _log(self, what: str, item: str) -> None:
        with (self.folder / "log").open("a") as file:
            file.write(f"{what} {os.getpid()} {item}\n")

    def beside(self) -> dict[str, list[int]]:
        """For every attempt at an item, how many others were in its process at the same time, at most."""
        here: dict[str, set[str]] = {}
        most: dict[str, list[int]] = {}
        for line in (self.folder / "log").read_text().splitlines():
            what, pid, item = line.split(" ", 2)
            held = here.setdefault(pid, set())
            if what == "end":
                held.remove(item)
                continue
            held.add(item)
            most.setdefault(item, []).append(0)
            for one in held:
                most[one][-1] = max(most[one][-1], len(held) - 1)
        return most


def test_a_worker_holds_as_many_items_as_it_may(tmp_path: Path) -> None:
    work, items = Logged(tmp_path), [f"item{n}:waits" for n in range(4)]
    events = two_at_once(items, work)
    assert finished(events) == {item: item[:5].upper() for item in items}
    assert {most for attempts in work.beside().values() for most in attempts} <= {0, 1}
    assert any(1 in attempts for attempts in work.beside().values())
    assert len({pid for item in items for pid in work.pids(item[:5])}) == 1


def test_everyone_has_one_before_anyone_has_two(tmp_path: Path) -> None:
    work = Work(tmp_path)
    two_at_once(["a:waits", "b:waits"], work, workers=2)
    assert work.pids("a") != work.pids("b")


@pytest.mark.parametrize("how", ["dies", "exits"])
def test_who_was_beside_a_killer_is_never_set_aside(tmp_path: Path, how: str) -> None:
    """The killer dies beside another, and then twice alone. The other is tried again, alone, and is done."""
    work, killer, innocent = Logged(tmp_path), f"killer:{how}_beside_others", "innocent:is_killed_beside_others"
    for items in ([killer, innocent, "c", "d"], [innocent, killer, "c", "d"]):
        for left in tmp_path.iterdir():
            left.unlink()
        events = two_at_once(items, work)
        assert finished(events) == {innocent: "INNOCENT", "c": "C", "d": "D"}
        (lost,) = failed(events)
        assert (lost.item, lost.why, lost.attempts) == (killer, "worker-died", 2)
        assert work.beside()[killer] == [1, 0, 0]
        assert work.beside()[innocent] == [1, 0]
        assert [len(work.pids(name)) for name in ("killer", "innocent", "c", "d")] == [3, 2, 1, 1]


def test_a_death_beside_another_may_be_no_fault_of_the_item(tmp_path: Path) -> None:
    items = ["a:dies_once", "b:waits", "c"]
    events = two_at_once(items, Work(tmp_path))
    assert finished(events) == {item: item[0].upper() for item in items}
    assert failed(events) == []


def test_a_death_beside_another_costs_no_attempt(tmp_path: Path) -> None:
    """Each of the two kills the worker once: what one did is not held against the other."""
    events = two_at_once(["a:is_killed_beside_others", "b:dies_beside_others_once", "c"], Work(tmp_path))
    assert failed(events) == []
    assert len(finished(events)) == 3


def test_a_worker_that_ends_while_it_starts_costs_none_of_its_items_an_attempt(tmp_path: Path) -> None:
    events = two_at_once(["a:dies_once", "b:dies_once"], BegunLate(tmp_path))
    assert finished(events) == {"a:dies_once": "A", "b:dies_once": "B"}


def test_what_is_not_begun_is_dropped_when_all_is_to_stop(tmp_path: Path) -> None:
    """An item that has done some tiles is finished, one that waits beside it is not begun any more."""
    stop, events = threading.Event(), []
    pool: ProcessPool[str, str] = ProcessPool(Work(tmp_path), 1, stop, at_once=2)
    for event in pool.events(InOrder(deque(["a:waits", "b:stands_by", "c"]), stop)):
        events.append(event)
        stop.set()  # at the first tick of "a"
    assert finished(events) == {"a:waits": "A"}
    assert [event.item for event in events if isinstance(event, DroppedItem)] == ["b:stands_by"]
    assert not (tmp_path / "c").exists()


def test_one_error_of_the_machine_ends_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="the disk is full"):
        two_at_once(["a:waits_for_ever", "b:finds_no_space"], Work(tmp_path))


def init_worker(folder: Path, number: int) -> None:
    os.environ["SEAT"] = str(number)
    (folder / f"seat-{number}").touch(exist_ok=False)


class Seated(Work):
    def __call__(self, item: str, tick: Tick) -> str:
        super().__call__(item, tick)
        return os.environ["SEAT"]


def test_a_worker_knows_its_place(tmp_path: Path) -> None:
    stop = threading.Event()
    pool: ProcessPool[str, str] = ProcessPool(
        Seated(tmp_path), 2, stop, init_worker=functools.partial(init_worker, tmp_path)
    )
    events = list(pool.events(InOrder(deque(["a:waits", "b:waits", "c"]), stop)))
    assert {item: seat for item, seat in finished(events).items() if item != "c"} == {"a:waits": "0", "b:waits": "1"}
