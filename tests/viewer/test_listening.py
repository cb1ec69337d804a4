"""Where the viewer listens, and what is said where it cannot."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.viewer.listening import loopback_port, tunnel_command, unix_socket


def test_a_taken_port_is_said_in_clear_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"port {port} is taken") as error, loopback_port(port):
            pass
    assert "--port 0" in error.value.remedy


def test_only_the_loopback_is_listened_on() -> None:
    with loopback_port(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with unix_socket() as (_, path):
        assert path.exists() and not path.is_relative_to(long)
    assert list(long.iterdir()) == []


def test_the_line_to_type() -> None:
    line = tunnel_command(Path("/scratch/a b/view.sock"), "ann", "login.example")
    assert line == "ssh -N -L 8080:'/scratch/a b/view.sock' ann@login.example"
