"""Event files: what was said is in them, and no step twice, whenever a training was cut off."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.models.tensorboard import FILES, TensorBoardCurves, read_events


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    """Step, tag and value of all that the files of a folder hold, in order."""
    events = [event for path in sorted(folder.glob(FILES)) for event in read_events(path)]
    return [(event.step, value.tag, round(value.simple_value, 6)) for event in events for value in event.summary.value]


def write(folder: Path, first: int, stop: int) -> None:
    with TensorBoardCurves(folder) as curves:
        curves.begin(first)
        for step in range(first, stop):
            curves.add(step, {"loss": 1 / (1 + step), "learning_rate": 0.1})
            if step % 4 == 3:
                curves.add(step, {"valid_loss": 2.0})


def expected(stop: int) -> list[tuple[int, str, float]]:
    told = []
    for step in range(stop):
        told += [(step, "loss", round(1 / (1 + step), 6)), (step, "learning_rate", 0.1)]
        told += [(step, "valid_loss", 2.0)] if step % 4 == 3 else []
    return told


def test_holds_what_was_said(tmp_path: Path) -> None:
    write(tmp_path / "a" / "model", 0, 6)
    assert scalars(tmp_path / "a" / "model") == expected(6)


def test_records_are_those_that_tensorboard_reads(tmp_path: Path) -> None:
    """Byte for byte what tensorboardX's own writer makes of the same events."""
    write(tmp_path / "ours", 0, 5)
    (file,) = (tmp_path / "ours").glob(FILES)
    (tmp_path / "theirs").mkdir()
    theirs = EventsWriter(str(tmp_path / "theirs" / "events"))
    for event in read_events(file):
        theirs.write_event(event)
    theirs.close()
    (their_file,) = (tmp_path / "theirs").glob(FILES)
    head = 16 + len(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
    assert file.read_bytes()[head:] == their_file.read_bytes()[head:]
    versions = [Event.FromString(path.read_bytes()[12 : head - 4]).file_version for path in (file, their_file)]
    assert versions == ["brain.Event:2"] * 2


@pytest.mark.parametrize("again_from", [0, 1, 4, 6, 7])
def test_going_on_from_an_earlier_step_doubles_nothing(again_from: int, tmp_path: Path) -> None:
    write(tmp_path, 0, 7)
    write(tmp_path, again_from, 9)
    assert scalars(tmp_path) == expected(9)
    assert len(list(tmp_path.glob(FILES))) == 1


def test_a_file_that_was_cut_off_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    write(tmp_path, 0, 3)
    (file,) = tmp_path.glob(FILES)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert scalars(tmp_path) == expected(3)[: len(scalars(tmp_path))]
    file.write_bytes(whole[:-5])
    write(tmp_path, 2, 5)
    assert scalars(tmp_path) == expected(5)


def test_killed_between_two_files_nothing_is_doubled(tmp_path: Path) -> None:
    """The older file is still there beside the newer one when the next training begins."""
    write(tmp_path, 0, 5)
    (older,) = tmp_path.glob(FILES)
    kept = older.read_bytes()
    write(tmp_path, 3, 5)
    older.write_bytes(kept)
    write(tmp_path, 4, 6)
    assert scalars(tmp_path) == expected(6)


def test_what_was_said_is_there_after_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal; from hypoxia_hpc.models.tensorboard import TensorBoardCurves as T;"
        f"c = T(pathlib.Path({str(tmp_path)!r})); c.begin(0); c.add(0, {{'loss': 1.0}});"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", script], check=False, timeout=60, env={**os.environ})
    assert died.returncode == -signal.SIGKILL
    assert scalars(tmp_path) == [(0, "loss", 1.0)]


def test_a_full_disk_is_an_error_that_says_so(small_disk: Path) -> None:
    with pytest.raises(MachineError, match="the disk is full"), TensorBoardCurves(small_disk / "model") as curves:
        curves.begin(0)
        (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        for step in range(1000):
            curves.add(step, {"loss": 1.0})
