"""Memory that this process may still take: of the machine, and of its control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.machine.memory import free_memory

GB = 10**9


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Control groups in which a step of a job may have 3 GB, of which 1 GB is used, half of that by files it read."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {8 * GB // 1024} kB\n")
    (tmp_path / "own").write_text("12:devices:/\n0::/job/step\n")
    for place, limit in (("job", "max"), ("job/step", str(3 * GB))):
        folder = tmp_path / "groups" / place
        folder.mkdir(parents=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{GB}\n")
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {GB // 2}\n")
    return tmp_path


def free(folder: Path) -> int:
    return free_memory(folder / "meminfo", folder / "own", folder / "groups")


def test_the_smallest_of_machine_and_groups_counts(groups: Path) -> None:
    assert free(groups) == 2.5 * GB
    (groups / "groups/job/memory.max").write_text(f"{GB}\n")
    assert free(groups) == GB // 2
    (groups / "own").write_text("4:memory:/old\n")
    assert free(groups) == pytest.approx(8 * GB, abs=1024)


def test_this_machine_has_some() -> None:
    assert 2**20 < free_memory() < 2**50
