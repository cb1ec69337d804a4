"""Is the code slower than at another commit? python benchmarks/compare.py BASE [--only CASE]

Runs benchmarks/cases.py under pytest-benchmark on a checkout of BASE, then on this one. Exit code 1 where a case has
become slower than noise allows: its median, in multiples of its bound, by more than a tenth, three times (README.md
says why).
"""

from __future__ import annotations

import argparse
import os
import re
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
TRIES = 3
SLOWER = re.compile(r"test_case\[(\S+)\] .* has failed PercentageRegressionCheck")


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


def measure(tree: Path, storage: Path, only: Sequence[str], *options: str) -> tuple[int, str]:
    """pytest's exit code for the cases with the package of a tree, and what it printed."""
    chosen = ["-k", " or ".join(f"[{name}]" for name in only)] if only else []
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning", f"--rootdir={HERE.parent}"),
        *(f"--benchmark-storage=file://{storage}", "--benchmark-columns=median,iqr,rounds", str(CASES)),
    ]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(  # noqa: S603
        [*command, *chosen, *options], check=False, env=environment, cwd=storage, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    print(done.stdout.partition("Traceback")[0], flush=True)
    return done.returncode, done.stdout


def slower_cases(base: Path, head: Path, only: Sequence[str]) -> list[str]:
    """The cases that are slower with the package of ``head`` than with that of ``base``, measured once each. Raises
    SystemExit where one of them cannot be measured."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        print("base (what is called s is a multiple of the case's bound)", flush=True)
        code, _ = measure(base, storage, only, f"--benchmark-save={BASE_NAME}")
        if code:
            raise SystemExit(f"the cases cannot be measured with the base: pytest ended with {code}")
        print("head", flush=True)
        code, said = measure(head, storage, only, "--benchmark-compare", f"--benchmark-compare-fail={MOST_SLOWER}")
    slower = SLOWER.findall(said)
    if code and not slower:
        raise SystemExit(f"the cases cannot be measured: pytest ended with {code}")
    return slower


def compare(base: Path, head: Path, only: Sequence[str] = ()) -> list[str]:
    """The cases that are slower with ``head`` in each of `TRIES` tries, every one in processes of its own: where a
    process has its memory, and what runs on the other half of its core, may change a ratio by a quarter for as long as
    it lives (seen at a load of 18 on two cores)."""
    slower = list(only)
    for number in range(TRIES):
        slower = slower_cases(base, head, slower)
        if not slower:
            return []
        print(f"try {number + 1} of {TRIES}: slower: {', '.join(slower)}", flush=True)
    return slower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="a commit, or a folder that holds a checkout")
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="this case alone; repeatable")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="so often: how noisy is this machine?")
    asked = parser.parse_args()
    with checkout(asked.base) as base:
        found = [compare(base, HERE.parent, asked.only) for _ in range(asked.repeat)]
    print(f"{sum(map(bool, found))} of {asked.repeat} comparisons found a case that is slower")
    sys.exit(any(found))


if __name__ == "__main__":
    main()
