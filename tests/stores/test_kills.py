"""SIGKILL before every fsync and every rename of a commit, and two processes that commit one target at once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hypoxia_hpc
from hypoxia_hpc.stores.commit import remove_leftovers
from hypoxia_hpc.stores.integrity import check_store, store_key

COMMITTER = Path(__file__).with_name("committer.py")
# fsync of every file and folder and of the parent, and one rename; two renames where an old target makes way.
CALLS = {"tiles": 7 + 4 + 1 + 1, "features": 5 + 3 + 1 + 1, "folder": 2 + 2 + 1 + 1, "file": 1 + 1 + 1}


def start(*arguments: str) -> subprocess.Popen[str]:
    paths = [str(Path(hypoxia_hpc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, COMMITTER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("kind", CALLS)
def test_a_kill_at_any_moment_leaves_all_or_nothing(tmp_path: Path, kind: str) -> None:
    printed, errors = start("kill", kind, str(tmp_path)).communicate(timeout=120)
    assert errors == ""
    runs = [json.loads(line) for line in printed.splitlines()]
    for run in runs:
        assert run["again"], run
        assert len(run["found"]) == 1, run  # absent, the whole old or the whole new
        assert run["killed"] or (run["found"] == ["b"] and not run["litter"]), run
    fresh = [run for run in runs if run["start"] == "absent"]
    replaced = [run for run in runs if run["start"] == "a"]
    new_folders = 2  # with an fsync each of their parents
    assert sum(run["killed"] for run in fresh) == CALLS[kind] + new_folders
    assert sum(run["killed"] for run in replaced) == CALLS[kind] + 2 * (kind != "file")
    assert {run["found"][0] for run in fresh} == {"absent", "b"}
    assert {run["found"][0] for run in replaced} == ({"a", "b"} if kind == "file" else {"a", "absent", "b"})


def test_litter_of_kills_is_removed_and_the_stores_stay(tmp_path: Path) -> None:
    start("kill", "tiles", str(tmp_path)).communicate(timeout=120)
    litter = list(tmp_path.rglob(".*"))
    assert {path.name[:5] for path in litter} == {".tmp-", ".old-"}
    assert remove_leftovers(tmp_path) == []
    then = time.time() - 25 * 60 * 60
    for path in (entry for left in litter for entry in (left, *left.rglob("*"))):
        os.utime(path, (then, then))
    assert remove_leftovers(tmp_path) == sorted(litter)
    stores = list(tmp_path.glob("*/sub/target"))
    assert len(stores) > 20
    assert all(check_store(store) == [] for store in stores)


@pytest.mark.parametrize("keys", ["ab", "aa"])
def test_two_processes_commit_the_same_target_at_once(tmp_path: Path, keys: str) -> None:
    racers = [start("race", str(tmp_path), key, str(name)) for name, key in enumerate(keys)]
    for racer in racers:
        _, errors = racer.communicate(timeout=120)
        assert (racer.returncode, errors) == (0, "")
    assert {path.name for path in (tmp_path / "tiles").iterdir()} == {f"{number}.zarr" for number in range(20)}
    for store in (tmp_path / "tiles").iterdir():
        assert check_store(store) == []
        assert store_key(store) in (*keys,)
