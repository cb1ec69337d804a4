"""The developers' comparison finds a kernel that does a fifth more work, and no change where there is none."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]
KERNEL = Path("hypoxia_hpc", "tiling", "kernels", "packed.py")
# Rows of the first fifth are counted twice, and the second count is dropped, so that the answer stays the same.
SLOWER = {
    "    for y in range(band.shape[0]):\n        row = band[y][left : left + width]\n        for start": (
        "    rows, again = band.shape[0], 0\n    for turn in range(rows + rows // 5):\n        y = turn % rows\n"
        "        row = band[y][left : left + width]\n        for start"
    ),
    "            total += int(in_run)\n    return total": (
        "            if turn < rows:\n                total += int(in_run)\n            else:\n"
        "                again += int(in_run)\n    return total if again != -7 else 0"
    ),
}


@pytest.fixture(scope="module")
def comparison() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare", REPOSITORY / "benchmarks" / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "pytest_benchmark" not in sys.modules  # it is used in processes of their own alone
    return module


def test_a_case_is_slower_where_most_pairs_say_so(comparison: ModuleType) -> None:
    times = {"same": [1.3, 0.9, 1.0, 1.05, 1.2], "slower": [1.15, 0.9, 1.2, 1.3, 1.11], "quicker": [0.5] * 5}
    assert comparison.slower(times) == ["slower"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuchrev"], "'nosuchrev' is neither a commit of this repository nor a folder"),
        ([".", "--only", "nope"], "no steady case is called nope; there are background"),
        ([".", "--repeat", "0"], "--repeat 0: once at least"),
    ],
)
def test_what_cannot_be_compared_is_not_slower(arguments: list[str], said: str) -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "compare.py"), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.long
def test_a_kernel_that_does_a_fifth_more_work_fails(comparison: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "hypoxia_hpc", tmp_path / "hypoxia_hpc", ignore=shutil.ignore_patterns("__pycache__"))
    source = (tmp_path / KERNEL).read_text()
    for old, new in SLOWER.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    (tmp_path / KERNEL).write_text(source)
    assert comparison.compare(REPOSITORY, tmp_path, ["background"]) == ["background"]


@pytest.mark.long
def test_noise_alone_fails_in_none_of_twenty_repeats(comparison: ModuleType) -> None:
    found = [comparison.compare(REPOSITORY, REPOSITORY, ["background", "halving", "stain"]) for _ in range(20)]
    assert found == [[]] * 20
