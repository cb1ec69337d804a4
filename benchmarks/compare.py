"""Is the code slower than at another commit? python benchmarks/compare.py BASE [--only CASE]

Runs benchmarks/cases.py under pytest-benchmark on a checkout of BASE, then on this one. Exit code 1 where a case has
become slower than noise allows: its median, in multiples of its bound, by more than a tenth (README.md says why).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases.py"
MOST_SLOWER = "median:10%"
BASE_NAME = "base"


@contextmanager
def checkout(base: str) -> Iterator[Path]:
    """The files of a commit, or a folder that holds them already."""
    if Path(base).is_dir():
        yield Path(base).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        git("worktree", "add", "--quiet", "--detach", tree, base)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", tree)


def git(*arguments: str | Path) -> None:
    subprocess.run(["git", "-C", HERE, *arguments], check=True)  # noqa: S603, S607


def measure(tree: Path, storage: Path, only: Sequence[str], *options: str) -> int:
    """pytest's exit code for the cases with the package of a tree."""
    chosen = ["-k", " or ".join(f"[{name}]" for name in only)] if only else []
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning", f"--rootdir={HERE.parent}"),
        *(f"--benchmark-storage=file://{storage}", "--benchmark-columns=median,iqr,rounds", str(CASES)),
    ]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run([*command, *chosen, *options], check=False, env=environment, cwd=storage).returncode  # noqa: S603


def compare(base: Path, head: Path, only: Sequence[str] = (), times: int = 1) -> list[int]:
    """Of each time that the package of ``head`` is measured: 0 where no case is slower than with that of ``base``, else
    pytest's exit code. Raises SystemExit where the base itself cannot be measured."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        print("base (what is called s are multiples of a case's bound)", flush=True)
        if code := measure(base, storage, only, f"--benchmark-save={BASE_NAME}"):
            raise SystemExit(code)
        print("\nhead", flush=True)
        options = ("--benchmark-compare=0001", f"--benchmark-compare-fail={MOST_SLOWER}")
        return [measure(head, storage, only, *options) for _ in range(times)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="a commit, or a folder that holds a checkout")
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="this case alone; repeatable")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="so often: how noisy is this machine?")
    asked = parser.parse_args()
    with checkout(asked.base) as base:
        codes = compare(base, HERE.parent, asked.only, asked.repeat)
    if asked.repeat > 1:
        print(f"\n{sum(code != 0 for code in codes)} of {len(codes)} comparisons failed")
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
