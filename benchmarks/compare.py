"""Is the code slower than at another commit? python benchmarks/compare.py BASE [--only CASE]

Runs benchmarks/cases.py under pytest-benchmark on a checkout of BASE and on this one, in turn, five times each, in new
processes. Exit code 1 where a case has become slower than noise allows: its time, in multiples of its bound, by more
than a tenth in the median of the five pairs (README.md says why), and 2 where nothing could be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hypoxia_hpc.bench.cases.registry import CASES

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "cases.py"
MOST_TIMES, PAIRS = 1.10, 5
COULD_NOT = 2
STEADY = tuple(case.name for case in CASES if case.is_steady and case.is_quick)


@contextmanager
def checkout(base: str) -> Iterator[Path]:
    """The files of a commit, or a folder that holds them already."""
    if Path(base).is_dir():
        yield Path(base).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        if git("worktree", "add", "--quiet", "--detach", tree, base):
            refuse(f"{base!r} is neither a commit of this repository nor a folder")
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", tree)


def git(*arguments: str | Path) -> int:
    return subprocess.run(["git", "-C", HERE, *arguments], check=False).returncode  # noqa: S603, S607


def refuse(problem: str) -> NoReturn:
    print(problem, file=sys.stderr)
    sys.exit(COULD_NOT)


def measure(tree: Path, only: Sequence[str]) -> dict[str, float]:
    """The time of each case with the package of a tree, in multiples of its bound. Exits where a case cannot be
    measured, or its answer is wrong."""
    chosen = ["-k", " or ".join(f"[{name}]" for name in only)] if only else []
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "found.json"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning", f"--rootdir={HERE.parent}"),
            *(f"--benchmark-json={written}", "--benchmark-quiet", str(MEASURED), *chosen),
        ]
        environment = os.environ | {"PYTHONPATH": str(tree)}
        done = subprocess.run(command, check=False, env=environment, cwd=folder, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            refuse(f"the cases cannot be measured with {tree}:\n{done.stdout}{done.stderr}")
        found = json.loads(written.read_text())["benchmarks"]
    return {one["param"]: one["stats"]["median"] for one in found}


def compare(base: Path, head: Path, only: Sequence[str] = ()) -> list[str]:
    """The cases that are slower with ``head``. Base and head take turns, every one in a process of its own: where a
    process has its memory, and what runs on the other half of its core, may change a ratio by a quarter for as long as
    it lives (seen at a load of 18 on two cores)."""
    trees = {"base": base, "head": head}
    times: dict[str, list[float]] = {}
    for number in range(PAIRS):
        turns = ("base", "head") if number % 2 == 0 else ("head", "base")
        found = {turn: measure(trees[turn], only) for turn in turns}
        for name in found["head"].keys() & found["base"].keys():
            times.setdefault(name, []).append(found["head"][name] / found["base"][name])
        print(f"pair {number + 1} of {PAIRS}: {', '.join(f'{name} x {ones[-1]:.2f}' for name, ones in times.items())}")
    if new := found["head"].keys() - found["base"].keys():
        print(f"not compared, for the base does not have them: {', '.join(sorted(new))}")
    for name, ones in times.items():
        print(f"{name}: x {statistics.median(ones):.2f} ({min(ones):.2f} to {max(ones):.2f}) of the time before")
    return slower(times)


def slower(times: Mapping[str, Sequence[float]]) -> list[str]:
    """The cases whose time is more than `MOST_TIMES` that of the base in the median of the pairs."""
    return [name for name, ones in times.items() if statistics.median(ones) > MOST_TIMES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="a commit, or a folder that holds a checkout")
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="this case alone; repeatable")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="so often: how noisy is this machine?")
    asked = parser.parse_args()
    if asked.repeat < 1:
        parser.error(f"--repeat {asked.repeat}: once at least")
    if unknown := sorted(set(asked.only) - set(STEADY)):
        parser.error(f"no steady case is called {', '.join(unknown)}; there are {', '.join(STEADY)}")
    with checkout(asked.base) as base:
        found = [compare(base, HERE.parent, asked.only) for _ in range(asked.repeat)]
    print(f"{sum(map(bool, found))} of {asked.repeat} comparisons found a case that is slower")
    sys.exit(any(found))


if __name__ == "__main__":
    main()
