"""Compute nodes from what sinfo says of them, and an image that is not this installation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hypoxia_hpc.bench.environment import environment
from hypoxia_hpc.bench.nodes import described, environment_of_nodes


@pytest.mark.parametrize(
    ("lines", "processor", "cores", "memory_gb", "gpus"),
    [
        ("64|257000|(null)\n64|257000|(null)\n", "compute nodes", 64, 269.5, []),
        ("8|16000|gpu:h200:1,shm:2\n", "compute nodes", 8, 16.8, ["gpu:h200:1"]),
        ("128|1|(null)\n8|1000000|(null)\n", "compute nodes, of 2 kinds", 8, 1048.6, []),
        ("", "compute nodes", 0, 0.0, []),
        ("what|is this|a\n9|9\n", "compute nodes", 0, 0.0, []),
    ],
)
def test_nodes_in_the_words_of_sinfo(
    lines: str, processor: str, cores: int, memory_gb: float, gpus: list[str], tmp_path: Path
) -> None:
    login = replace(environment(tmp_path), gpus=["NVIDIA T4"], driver="550")
    found = described(lines, login)
    assert (found.processor, found.cores, found.memory_gb, found.gpus) == (processor, cores, memory_gb, gpus)
    assert found.driver == "" and found.file_system == login.file_system


def test_sinfo_is_not_asked_for_the_words_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sinfo that fills in any format that it is given."""
    program = tmp_path / "sinfo"
    fields = "s/%c/8/; s/%m/16000/; s/%f/rack7/; s/%G/gpu:h200:1/"
    program.write_text(
        f"#!/bin/sh\nfor word; do case $word in --format=*) echo \"${{word#*=}}\" | sed '{fields}';; esac; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = environment_of_nodes(["n1"], tmp_path, None)
    assert (found.processor, found.cores, found.gpus) == ("compute nodes", 8, ["gpu:h200:1"])
    assert "rack7" not in str(found)


def test_an_image_is_known_by_its_digest_alone(tmp_path: Path) -> None:
    image = tmp_path / "cpu.sif"
    image.write_bytes(b"image")
    found = environment_of_nodes(["n1"], tmp_path, image)
    assert found.container == "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
    assert (found.python, found.libraries, found.commit, found.backend) == ("", {}, "", "")
    assert environment_of_nodes(["n1"], tmp_path, tmp_path / "gone.sif").container == "unknown"
