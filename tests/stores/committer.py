"""Run by test_kills.py in a process of its own, without Zarr or threads, so that it may fork.

``committer.py kill KIND FOLDER``: commit KIND again and again, each time in a child that kills itself before its N-th
fsync or rename, N = 1, 2, ... until a child survives; a JSON line each. ``committer.py race FOLDER KEY NAME``: as
soon as another racer is there, commit twenty targets, each several times.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hypoxia_hpc.stores.commit import committed_file, committing_directory
from hypoxia_hpc.stores.features import write_features
from hypoxia_hpc.stores.integrity import store_key
from hypoxia_hpc.stores.tiles import new_tile_store

COUNTED = ("fsync", "rename", "replace")


def commit_tiles(target: Path, key: str) -> None:
    with new_tile_store(target, 6) as writer:
        for _ in range(11):
            writer.new_tile()[:] = ord(key)
        writer.commit(np.arange(22).reshape(11, 2), np.zeros(11, np.float32), {"key": key})


def commit_features(target: Path, key: str) -> None:
    write_features(target, np.full((3, 4), ord(key), np.float16), np.ones((3, 2), np.int64), {"key": key})


def commit_folder(target: Path, key: str) -> None:
    with committing_directory(
        target, lambda there: (there / "inner" / "key").read_text() == key, sealed=False
    ) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "key").write_text(key)
        (folder / "weights").write_bytes(key.encode() * 1000)


def commit_file(target: Path, key: str) -> None:
    committed_file(target, key.encode() * 1000)


COMMITS = {"tiles": commit_tiles, "features": commit_features, "folder": commit_folder, "file": commit_file}


def bytes_of(path: Path) -> dict[str, bytes]:
    files = [entry for entry in (path, *path.rglob("*")) if entry.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def killing(function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)

    return call


def is_killed_before(n: int, commit: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        left = [n]
        for name in COUNTED:
            setattr(os, name, killing(getattr(os, name), left))
        commit()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def kill_everywhere(kind: str, folder: Path) -> None:
    commit = COMMITS[kind]
    for key in "ab":
        commit(folder / "whole" / key, key)
    whole = {key: bytes_of(folder / "whole" / key) for key in "ab"} | {"absent": {}}
    for start in ("absent", "a"):
        for n in range(1, 1000):
            target = folder / f"{start}-{n}" / "sub" / "target"
            if start == "a":
                commit(target, "a")
            killed = is_killed_before(n, partial(commit, target, "b"))
            found = [name for name, content in whole.items() if content == bytes_of(target)]
            commit(target, "b")
            again = bytes_of(target) == whole["b"]
            litter = [entry.name for entry in target.parent.iterdir() if entry != target]
            run = {"start": start, "n": n, "killed": killed, "found": found, "again": again, "litter": litter}
            print(json.dumps(run))  # noqa: T201
            if not killed:
                break


def race(folder: Path, key: str, name: str) -> None:
    (folder / f"ready-{name}").write_text("")
    while len(list(folder.glob("ready-*"))) < 2:
        pass
    for turn in range(100):
        target = folder / "tiles" / f"{turn % 20}.zarr"
        commit_tiles(target, key)
        assert store_key(target) in ("a", "b", None)


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "kill":
        kill_everywhere(arguments[0], Path(arguments[1]))
    else:
        race(Path(arguments[0]), *arguments[1:])
