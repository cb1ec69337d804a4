"""The command: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from forks import Fresh

from viewer.serving import require_library

LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)")


def started(words: list[str], log: Path) -> Fresh:
    return Fresh([sys.executable, "-m", "hypoxia_hpc", *words], log, os.environ)


def said(command: Fresh, log: Path, words: re.Pattern[str]) -> re.Match[str]:
    end = time.monotonic() + 120
    while (found := words.search(log.read_text())) is None:
        assert command.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    return found


def test_it_prints_a_link_and_ends_with_ctrl_c(real_slide: Path, tmp_path: Path) -> None:
    require_library()
    log = tmp_path / "log"
    view = started(["view", str(real_slide), "--port", "0"], log)
    port, token = said(view, log, LINK).groups()
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)) as connection:
        connection.request("GET", f"/?token={token}")
        assert connection.getresponse().status == 303
        view.send_signal(signal.SIGINT)
        assert view.wait(60) == 0, "a connection that is open holds nothing up"
    assert "serving 1 slide of CMU-1-Small-Region.svs" in log.read_text()


def test_without_a_port_it_prints_the_line_to_type(real_slide: Path, tmp_path: Path) -> None:
    require_library()
    log = tmp_path / "log"
    view = started(["view", str(real_slide.parent)], log)
    path = said(view, log, re.compile(r"ssh -N -L 8080:(\S+) \S+@\S+\n.*http://localhost:8080/"))[1]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"GET /slides.json HTTP/1.1\r\nHost: localhost:8080\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    view.send_signal(signal.SIGTERM)
    assert view.wait(60) == 0 and not Path(path).exists()


def test_what_is_refused(
    real_slide: Path, tmp_path: Path, hypoxia: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    require_library()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = hypoxia("view", real_slide, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 4 and "is taken" in done.stderr and "Traceback" not in done.stderr
    done = hypoxia("view", tmp_path / "gone")
    assert done.returncode == 2 and "does not exist" in done.stderr
    assert hypoxia("view", tmp_path).returncode == 2, "a folder without slides"
    assert hypoxia("view", real_slide, "--port", "70000").returncode == 2


@pytest.mark.parametrize("words", ["ssh -N -L 8080:", "--port 0", "Ctrl-C ends it", "keep it to yourself"])
def test_the_help_teaches(words: str, hypoxia: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert words in " ".join(hypoxia("view", "--help").stdout.split())
