"""Joules between two looks: counters that begin anew, packages and nothing else, and why there is no figure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypoxia_hpc.machine.energy import Counter, Look, look, look_at_gpu, look_at_processor, named_gpu, spent

CORES = os.cpu_count()
RANGE_UJ = 262_143_328_850  # of an Intel Xeon


def zone(powercap: Path, folder: str, name: str, energy_uj: int) -> None:
    """Files of a zone as Linux shows them."""
    there = powercap / folder
    there.mkdir(parents=True, exist_ok=True)
    (there / "name").write_text(f"{name}\n")
    (there / "energy_uj").write_text(f"{energy_uj}\n")
    (there / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")


def two_packages(powercap: Path, first_uj: int, second_uj: int) -> Look:
    zone(powercap, "intel-rapl:0", "package-0", first_uj)
    zone(powercap, "intel-rapl:1", "package-1", second_uj)
    return look_at_processor(powercap, CORES)


def test_packages_are_summed_and_one_of_them_began_anew(tmp_path: Path) -> None:
    before = two_packages(tmp_path, 1_000_000, RANGE_UJ - 2_000_000)
    after = two_packages(tmp_path, 4_500_000, 500_000)
    assert before.missing == ()
    assert spent(before, after) == {"RAPL": pytest.approx(3.5 + 2.5)}


def test_parts_of_a_package_and_the_platform_are_not_counted_beside_it(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0:0", "core", 7)
    zone(tmp_path, "intel-rapl:0:1", "dram", 7)
    zone(tmp_path, "intel-rapl:2", "psys", 7)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 7)
    assert list(two_packages(tmp_path, 1, 2).counters) == ["RAPL intel-rapl:0", "RAPL intel-rapl:1"]


def kernel_tree(root: Path) -> tuple[Path, Path]:
    """Two packages, their parts and the platform as the kernel has them: zones lie in their control type, parts in
    their package, and /sys/class/powercap links to each of them. The class, and the control type."""
    devices, powercap = root / "devices" / "virtual" / "powercap" / "intel-rapl", root / "class" / "powercap"
    powercap.mkdir(parents=True)
    zone(devices, "intel-rapl:0", "package-0-die-0", 5_000_000)
    zone(devices, "intel-rapl:1", "package-1-die-0", RANGE_UJ - 1_000_000)
    zone(devices, "intel-rapl:2", "psys", 90_000_000)
    zone(devices / "intel-rapl:0", "intel-rapl:0:0", "dram", 4_000_000)
    zone(devices / "intel-rapl:1", "intel-rapl:1:0", "dram", 4_000_000)
    (devices / "enabled").write_text("1\n")
    for folder in (devices, *devices.rglob("intel-rapl:*")):
        (powercap / folder.name).symlink_to(folder)
    return powercap, devices


def test_the_tree_of_the_kernel_gives_its_packages_alone(tmp_path: Path) -> None:
    powercap, devices = kernel_tree(tmp_path)
    before = look_at_processor(powercap, CORES)
    assert list(before.counters) == ["RAPL intel-rapl:0", "RAPL intel-rapl:1"]
    for name, energy_uj in (("intel-rapl:0", 7_500_000), ("intel-rapl:1", 250_000), ("intel-rapl:2", 99_000_000)):
        (devices / name / "energy_uj").write_text(f"{energy_uj}\n")
    (devices / "intel-rapl:0" / "intel-rapl:0:0" / "energy_uj").write_text("9000000\n")
    assert spent(before, look_at_processor(powercap, CORES)) == {"RAPL": pytest.approx(2.5 + 1.25)}


def test_one_package_that_cannot_be_read_leaves_none_counted(tmp_path: Path) -> None:
    """The sum of the others would be taken for the whole."""
    powercap, devices = kernel_tree(tmp_path)
    (devices / "intel-rapl:1" / "max_energy_range_uj").unlink()
    found = look_at_processor(powercap, CORES)
    assert not found.counters
    assert "its counters cannot be read" in found.missing[0]


@pytest.mark.parametrize("text", ["", "many"])
def test_a_counter_that_is_no_number_is_none_and_so_are_the_others(tmp_path: Path, text: str) -> None:
    two_packages(tmp_path, 1, 2)
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text(text)
    found = look_at_processor(tmp_path, CORES)
    assert not found.counters
    assert found.missing[0].startswith("RAPL: its counters cannot be read: ")


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    assert look_at_processor(tmp_path / "none") == Look(
        missing=(f"RAPL: {tmp_path}/none has no package of a processor",)
    )


def test_part_of_a_machine_has_no_counter_of_its_own(tmp_path: Path) -> None:
    two_packages(tmp_path, 1, 2)
    found = look_at_processor(tmp_path, (CORES or 1) - 1)
    assert not found.counters
    assert f"it counts all {CORES} cores of the machine" in found.missing[0]


def test_a_counter_of_the_administrator_is_named(tmp_path: Path) -> None:
    """As a user without rights: root may read all."""
    two_packages(tmp_path, 1, 2)
    (tmp_path / "intel-rapl:0" / "energy_uj").chmod(0o000)
    tmp_path.chmod(0o755)
    code = (
        "import os; from pathlib import Path; from hypoxia_hpc.machine.energy import look_at_processor\n"
        "os.getuid() or os.setuid(65534)\n"
        "print(*look_at_processor(Path(), os.cpu_count()).missing)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.strip() == "RAPL: only the administrator may read intel-rapl:0/energy_uj", done.stderr


def test_only_counters_that_both_looks_saw_are_counted() -> None:
    before = Look({"a": Counter("NVML", 5.0), "b": Counter("RAPL", 1.0, 10.0)})
    after = Look({"a": Counter("NVML", 9.5), "c": Counter("RAPL", 3.0, 10.0)})
    assert spent(before, after) == {"NVML": 4.5}


@pytest.mark.parametrize(
    ("visible", "uuid"),
    [("GPU-1c2f", "GPU-1c2f"), ("GPU-1c2f,GPU-77ab", ""), ("0", ""), ("MIG-1c2f", ""), ("", ""), (None, "")],
)
def test_a_gpu_is_named_by_its_uuid_alone(visible: str | None, uuid: str) -> None:
    assert named_gpu({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == uuid


def test_a_machine_without_a_driver_says_so() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver of NVIDIA")
    assert look_at_gpu({}) == Look(missing=("NVML: NVML Shared Library Not Found",))


def test_what_this_machine_counts_goes_up() -> None:
    before = look(gpu=True)
    if not before.counters:
        pytest.skip("; ".join(before.missing))
    time.sleep(0.5)
    assert all(joules > 0 for joules in spent(before, look(gpu=True)).values())
