"""Slides whose header is not judged here are opened in a process of its own first: in bounded memory and time."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openslide
import pytest
import tifffile
from dicom_series import write_series
from mirax import write_mirax
from waiting import wait_until

from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.slides import guard, trials
from hypoxia_hpc.slides.companions import MOST_INDEX_BYTES
from hypoxia_hpc.slides.guard import Limits, TrialServer, require_openable
from hypoxia_hpc.slides.opening import opened_slide
from hypoxia_hpc.tiling.windows import Window

HUGE = {("GENERAL", f"IMAGENUMBER_{axis}"): "20000" for axis in "XY"}  # 3.2 GB of positions


@pytest.fixture
def limits() -> Limits:
    """Of a server that gives up soon."""
    return Limits(seconds=2)


@pytest.fixture
def server(limits: Limits) -> Iterator[TrialServer]:
    made = TrialServer(limits)
    yield made
    made.stop()


def refused(path: Path, server: TrialServer) -> str:
    with pytest.raises(SlideError) as caught:
        require_openable(path, server)
    assert caught.value.reason == "unsafe-to-open"
    assert caught.value.problem.startswith(f"{path}: ")
    assert caught.value.remedy
    return caught.value.problem


def waits_for_ever(folder: Path) -> Path:
    path = write_mirax(folder / "waits.mrxs")
    (folder / "waits" / "Index.dat").unlink()
    os.mkfifo(folder / "waits" / "Index.dat")
    return path


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """No process, or one that has ended and waits for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# --- what is opened and what is not --------------------------------------------------------------------------------


def test_a_sound_slide_is_opened(tmp_path: Path) -> None:
    path = write_mirax(tmp_path / "a.mrxs", images=4, levels=2)
    with opened_slide(path) as slide, openslide.OpenSlide(path) as truth:
        assert slide.pyramid.vendor == "mirax"
        assert slide.pyramid.level_sizes == truth.level_dimensions == ((1024, 1024), (512, 512))
        assert slide.read_window(Window(0, 100, 200, 300, 300, (300, 300))).std() > 10


def test_an_index_that_asks_for_gigabytes_is_refused(tmp_path: Path, server: TrialServer) -> None:
    path = write_mirax(tmp_path / "a.mrxs", changes=HUGE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "within 256 MiB" in refused(path, server)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    with pytest.raises(SlideError) as caught, opened_slide(path):
        pass
    assert caught.value.reason == "unsafe-to-open"


def test_a_file_that_never_answers_is_refused(tmp_path: Path, server: TrialServer) -> None:
    assert "2 s by the clock" in refused(waits_for_ever(tmp_path), server)


@pytest.mark.parametrize("limits", [Limits(cpu_seconds=1)])
@pytest.mark.parametrize(
    "changes",
    [
        {("GENERAL", f"IMAGENUMBER_{axis}"): str(2**31 - 1) for axis in "XY"},  # to add up the sides takes seconds
        {("LAYER_0_LEVEL_0_SECTION", "OVERLAP_X"): "nan"},  # to read a pixel takes for ever
    ],
)
def test_a_file_that_keeps_a_core_busy_is_refused(
    tmp_path: Path, server: TrialServer, changes: dict[tuple[str, str], str]
) -> None:
    assert "1 s of a core" in refused(write_mirax(tmp_path / "a.mrxs", changes=changes), server)


def test_what_openslide_says_of_a_file_is_said(tmp_path: Path, server: TrialServer) -> None:
    path = write_mirax(tmp_path / "a.mrxs", changes={("GENERAL", "IMAGENUMBER_X"): "-1"})
    with pytest.raises(openslide.OpenSlideError, match="<= 0"):
        require_openable(path, server)
    (tmp_path / "b.mrxs").write_bytes(b"nothing")
    (tmp_path / "c.bin").write_bytes(b"nothing")
    with pytest.raises(openslide.OpenSlideUnsupportedFormatError):
        require_openable(tmp_path / "c.bin", server)
    for name in ("a.mrxs", "b.mrxs", "c.bin"):
        with pytest.raises(SlideError) as caught, opened_slide(tmp_path / name):
            pass
        assert caught.value.reason == "not-a-slide"


def test_an_index_is_read_here_as_far_as_openslide_reads_it(tmp_path: Path, server: TrialServer) -> None:
    path = write_mirax(tmp_path / "a.mrxs")
    index = tmp_path / "a" / "Slidedat.ini"
    text = index.read_bytes() + b"\r\n[A]\r\nB = "
    index.write_bytes(text.ljust(MOST_INDEX_BYTES, b"x"))
    require_openable(path, server)
    index.write_bytes(text.ljust(MOST_INDEX_BYTES + 1, b"x"))
    with pytest.raises(openslide.OpenSlideError, match="Slidedat"):
        require_openable(path, server)


def test_names_of_any_bytes(tmp_path: Path, server: TrialServer) -> None:
    for name in (b"\xff\xe4 \n.mrxs", "µ☃.mrxs".encode()):
        require_openable(write_mirax(tmp_path / os.fsdecode(name)), server)


def test_many_threads_ask_at_once(tmp_path: Path, server: TrialServer) -> None:
    sound = write_mirax(tmp_path / "sound.mrxs")
    huge = write_mirax(tmp_path / "huge.mrxs", changes=HUGE)
    waits = waits_for_ever(tmp_path)

    def code(path: Path) -> int:
        return server.outcome(path)[0]

    with ThreadPoolExecutor(32) as threads:
        codes = list(threads.map(code, [sound, huge, waits, sound] * 12))
    assert {*codes[0::4], *codes[3::4]} == {trials.OPENED}
    assert all(one < 0 and -one not in guard.TOO_LONG for one in codes[1::4])
    assert set(codes[2::4]) == {-signal.SIGALRM}


# --- which files pay -----------------------------------------------------------------------------------------------

OPEN_ALL = """
import sys
from pathlib import Path
from hypoxia_hpc.errors import SlideError
from hypoxia_hpc.slides.opening import opened_slide
for name in sys.argv[1:]:
    try:
        with opened_slide(Path(name)): pass
    except SlideError as error:
        print(error.reason)
print(*Path("/proc/self/task", Path("/proc/self").resolve().name, "children").read_text().split(), sep=",", flush=True)
sys.stdin.read()
"""


def opening(*paths: Path) -> subprocess.Popen[str]:
    """A process that opens slides, prints its children, and stays until its input ends."""
    command = [sys.executable, "-c", OPEN_ALL, *map(str, paths)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_files_whose_header_is_read_here_start_no_process(tmp_path: Path, real_slide: Path) -> None:
    flat = tmp_path / "flat.tif"
    tifffile.imwrite(flat, tifffile.imread(real_slide)[:500, :500], photometric="rgb")
    with opening(real_slide, flat) as process:
        assert said(process) == ""
        process.communicate()


def test_others_start_one(tmp_path: Path) -> None:
    mirax = [write_mirax(tmp_path / f"{name}.mrxs") for name in "ab"]
    dicom = write_series(tmp_path / "series", seed=1)[0]
    with opening(*mirax, dicom) as process:
        assert said(process).isdecimal()
        process.communicate()


# --- processes -----------------------------------------------------------------------------------------------------


def test_the_process_is_started_again_after_it_was_killed(tmp_path: Path, server: TrialServer) -> None:
    path = write_mirax(tmp_path / "a.mrxs")
    before = set(children(os.getpid()))
    require_openable(path, server)
    [first] = set(children(os.getpid())) - before
    require_openable(path, server)
    assert set(children(os.getpid())) - before == {first}
    os.kill(first, signal.SIGKILL)
    require_openable(path, server)
    [second] = set(children(os.getpid())) - before
    assert second != first


def test_a_signal_to_all_processes_of_a_job_does_not_end_it(tmp_path: Path, server: TrialServer) -> None:
    path = write_mirax(tmp_path / "a.mrxs")
    before = set(children(os.getpid()))
    require_openable(path, server)
    [process] = set(children(os.getpid())) - before
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(process, number)
    require_openable(path, server)
    assert set(children(os.getpid())) - before == {process}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_process_that_asks_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    """Nor the trial of a file that never answers."""
    sound, waits = write_mirax(tmp_path / "sound.mrxs"), waits_for_ever(tmp_path)
    with opening(sound, waits) as process:
        wait_until(lambda: children(process.pid))
        [server] = children(process.pid)
        wait_until(lambda: children(server))
        [trial] = children(server)
        process.send_signal(how)
        process.wait()
        wait_until(lambda: is_gone(server) and is_gone(trial))


def test_a_program_that_cannot_start_it_says_so(
    tmp_path: Path, server: TrialServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mirax(tmp_path / "a.mrxs")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(MachineError, match="cannot start"):
        require_openable(path, server)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(MachineError, match="exit code 1"):
        require_openable(path, server)
    monkeypatch.undo()
    require_openable(path, server)
