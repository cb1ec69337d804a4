"""Streams that are closed or full, signals before the handlers are set, limits on memory: how the command line ends."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from hypoxia_hpc.__main__ import LEAST_ADDRESS_BYTES
from hypoxia_hpc.cli.app import app
from hypoxia_hpc.cli.exits import tell_end
from hypoxia_hpc.config import preset
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stages.init import init

COMMAND = [sys.executable, "-m", "hypoxia_hpc"]


def shell(line: str, run: Path) -> subprocess.Popen[str]:
    """A line of the shell, in which ``hypoxia`` is the command and $RUN the run directory."""
    text = f'hypoxia() {{ {sys.executable} -m hypoxia_hpc "$@"; }}; RUN={run}; {line}'
    return subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a slide that is not there: quarantined at once."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "slides.csv").write_text("path,patient_id\nnone.svs,a\n")
    init(RunDir(folder / "run"), preset("hypoxia"), folder / "slides.csv")
    return folder / "run"


# What the shell does with streams and the working directory, the exit code, and what of it can be read then.
LINES = {
    "hypoxia tile $RUN 2>&-": (3, "1 quarantined"),
    "hypoxia tile $RUN 2>/dev/full": (3, "1 quarantined"),
    "hypoxia tile $RUN >/dev/full": (4, "note: not all of results could be written: No space left on device"),
    "hypoxia tile $RUN >/dev/full 2>&1": (4, ""),
    "hypoxia --nothing 2>/dev/full": (2, ""),
    "hypoxia --help <&- >&- 2>&-": (0, ""),
    "mkdir $RUN/g; cd $RUN/g; rmdir $RUN/g; hypoxia status $RUN": (4, "the working directory is not there any more"),
}


def test_the_work_goes_on_without_streams(run: Path) -> None:
    started = {line: shell(line, run) for line in LINES}
    for line, process in started.items():
        said = "".join(process.communicate(timeout=120))
        code, expected = LINES[line]
        assert (process.returncode, "Traceback" in said) == (code, False), f"{line}: {said}"
        assert expected in said, line


def test_a_page_of_help_that_is_not_read_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    pages = (["--help"], ["tile", "--help"])
    started = [subprocess.Popen([*COMMAND, *page], stdout=writer, stderr=subprocess.PIPE) for page in pages]
    os.close(writer)
    assert [(process.communicate()[1], process.returncode) for process in started] == [(b"", 0)] * 2


def test_a_pipe_that_breaks_at_work_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """click takes every broken pipe for one that is not read, and ends with 1 and without a word."""

    @click.command
    def breaks() -> None:
        raise BrokenPipeError(errno.EPIPE, "a worker has gone")

    monkeypatch.setattr("hypoxia_hpc.cli.app.families", lambda: {"": (breaks,)})
    assert app(["breaks"], standalone_mode=False) == 1
    assert "a worker has gone" in capsys.readouterr().err


def test_the_note_of_a_lost_log_stands_in_the_log_once_it_has_room_and_never_among_results(tmp_path: Path) -> None:
    code = (
        "import resource; from hypoxia_hpc.cli.terminal import end_streams, say, tell\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, -1)); tell('said in a log'); say('{}')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1)); assert end_streams()\n"
    )
    with (tmp_path / "log").open("w") as log:
        ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=log, text=True, check=True)
    assert ended.stdout == "{}\n"
    assert (tmp_path / "log").read_text().endswith("note: not all of the log could be written: File too large\n")


def test_what_is_opened_later_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import sys; from hypoxia_hpc.cli.terminal import begin_streams, tell\n"
        f"begin_streams(); file = open({str(tmp_path / 'data')!r}, 'w'); tell('said'); print('said', file=sys.stdout)\n"
    )
    line = f'exec {sys.executable} -c "$0" >&- 2>&-'
    assert subprocess.run(["sh", "-c", line, code], check=False).returncode == 0
    assert (tmp_path / "data").read_text() == ""


def test_an_interrupt_during_the_imports_ends_it_quietly() -> None:
    code = (
        "import os, signal, sys, time\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'hypoxia_hpc.cli.app': os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from hypoxia_hpc.__main__ import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def limited(command: Sequence[str], nbytes: int) -> subprocess.CompletedProcess[str]:
    """A command with ``ulimit -v``."""
    line = f"ulimit -v {nbytes // 1024}; exec " + ' "$@"'
    return subprocess.run(["sh", "-c", line, "sh", *command], capture_output=True, text=True, check=False)


def test_too_little_memory_for_the_libraries_is_no_bug() -> None:
    ended = limited([*COMMAND, "--help"], LEAST_ADDRESS_BYTES - 2**20)
    assert ended.returncode == 4
    assert "error: this process may use 511 MiB of memory (ulimit -v)" in ended.stderr
    assert "remedy: " in ended.stderr


@pytest.mark.parametrize(
    ("error", "is_limited", "code"),
    [
        (MemoryError(), False, 4),
        (RuntimeError("can't start new thread"), False, 4),
        (ImportError("x.so: failed to map segment from shared object"), True, 4),
        (ImportError("no module named x"), False, 1),
        (RuntimeError("a slip"), True, 1),
        (OSError("x.so: failed to map segment from shared object"), True, 4),
        (OSError(errno.ENOMEM, "no memory"), True, 4),
        (OSError(errno.ENOENT, "no file"), True, 1),
    ],
)
def test_what_ends_for_want_of_memory_is_no_bug(
    error: Exception, is_limited: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    most = 2**40 if is_limited else resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))
    assert tell_end(error) == code
    assert ("This is a bug" in capsys.readouterr().err) == (code == 1)
