"""Files of others are read within limits, by one module alone."""

from __future__ import annotations

import ast
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_layers import MODULES

from hypoxia_hpc import reading
from hypoxia_hpc.reading import (
    UnfitFileError,
    listed,
    open_plain,
    read_counts,
    read_json,
    read_plain,
    read_toml,
    sha256_of,
)
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.slurm.queue import sent_jobs
from hypoxia_hpc.workers.heartbeat import read_heartbeats

# Modules that open files by other means, and why that is safe.
OTHERS = {
    "reading": "the one that reads",
    "slides": "slides: `require_plain_file` comes before, limits are in the readers (tests of damaged slides)",
    "machine.disks": "/proc",
    "networks.inference.feeding": "/proc",
    "slides.trials": "/proc",
    "slurm.by_hand": "scripts of this package",
    "slurm.script": "scripts of this package",
    "reports.rendering": "style sheets and scripts of this package",
    "viewer.answers": "the page of this package",
    "viewer.static": "the page of this package",
    "viewer.library": "a package whose SHA-256 is pinned, and what was unpacked of it",
    "imports.hdf5": "after `begins_with`: HDF5 knows the end of a file, and links are not followed",
    "machine.compiling": "sources of this package",
    "machine.energy": "files of the kernel",
    "machine.memory": "files of the kernel",
    "stores.commit": "to fsync what this process wrote",
    "workers.scratch": "folders, to lock them",
    "cli.terminal": "/dev/null",
    "stages.demo": "a slide of this package, and one that this process made",
    "stages.demo_sclc": "a table that this process made",
    "workers.demo_cohorts": "a slide or an image that this process made",
    "networks.backbones.hdf5_weights": "after `refuse_unfit`",
    "networks.backbones.weights": "`refuse_unfit`: HDF5 and safetensors know the end of a file",
    "networks.backbones.loading": "after `refuse_unfit`",
    "networks.backbones.positions": "after `refuse_unfit`",
    "networks.backbones.hub": "writes alone, and asks a server",
    "workers.messages": "text from another rank",
    "models.reference": "bytes that were read",
    "tiling.geojson": "dumps alone",
    "exports.hdf5": "writes alone",
    "bench.neighbours": "/proc",
    "bench.environment": "/proc",
    "bench.bounds": "slides of this package, and those that this process made",
    "bench.stored_tiles": "stores that this process made",
    "bench.peers": "slides of this package, and those that this process made, by other packages",
    "bench.cases.native_tiles": "the slide of this package",
    "bench.cases.stores": "stores that this process made",
}
READING = {
    *("read_text", "read_bytes", "open", "read_csv", "read_table", "read_parquet", "File", "safe_open"),
    *("fromfile", "loadtxt", "genfromtxt", "memmap"),
}
PARSING = {("json", "load"), ("json", "loads"), ("tomllib", "load"), ("tomllib", "loads"), ("np", "load")}


def reads(tree: ast.Module) -> Iterator[int]:
    """Lines of calls that open or parse a file; not those that write one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("open", "safe_open"):
            yield node.lineno
        elif isinstance(function, ast.Attribute):
            of = function.value.id if isinstance(function.value, ast.Name) else ""
            modes = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            writes = function.attr == "open" and any(mode[0] in "wxa" for mode in modes)
            guarded = [one.id for one in node.args if isinstance(one, ast.Name)] == ["opened"]  # by `open_plain`
            if (of, function.attr) in PARSING or (function.attr in READING and not (writes or guarded)):
                yield node.lineno


def test_one_module_reads_files() -> None:
    found = {
        f"{name}:{line}"
        for name, tree in MODULES.items()
        for line in reads(tree)
        if name not in OTHERS and name.partition(".")[0] not in OTHERS
    }
    assert found == set(), "read these by hypoxia_hpc.reading, or say in OTHERS why they need no limit"


# --- what is no plain file ---------------------------------------------------------------------------------------


def pipe(path: Path) -> None:
    os.mkfifo(path)


def ring(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def giant(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**41)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [pipe, ring, endless, giant, folder])
@pytest.mark.parametrize("read", [read_json, read_toml, read_counts])
def test_what_would_wait_or_fill_the_memory_is_refused(
    tmp_path: Path, make: Callable[[Path], None], read: Callable[[Path], Any]
) -> None:
    make(tmp_path / "one")
    with pytest.raises(UnfitFileError, match=str(tmp_path / "one")):
        read(tmp_path / "one")


def test_a_link_is_followed_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    assert read_plain(tmp_path / "link", 4) == b"text"
    with pytest.raises(UnfitFileError):
        open_plain(tmp_path / "link", 4, follow=False)
    with pytest.raises(UnfitFileError, match="4 bytes, more than 3,"):
        sha256_of(tmp_path / "file", 3)


# --- contents ----------------------------------------------------------------------------------------------------

JSONS = {
    "deep": b"[" * 100_000,
    "deep, and closed": b"[" * 900 + b"]" * 900,
    "long integer": b"1" * 10_000,
    "integer of 65 bits": str(2**64).encode(),
    "infinite": b"[1e999]",
    "NaN": b'{"a": NaN}',
    "half a character": b'["\\ud800"]',
    "no text": b"\xff\xff\xff",
    "nothing": b"",
    "many objects": b"[" + b"{}," * 600_000 + b"{}]",
}


@pytest.mark.parametrize("content", JSONS.values(), ids=JSONS)
def test_json_that_no_code_expects_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UnfitFileError, match=r"x\.json"):
        read_json(tmp_path / "x.json")


def test_json_of_ours_is_read(tmp_path: Path) -> None:
    for found in ({"a": [1, -2.5, None, True, "\udcff é"]}, [], 3, {"n": 2**53}):
        (tmp_path / "x.json").write_text(json.dumps(found))
        assert read_json(tmp_path / "x.json") == found


@pytest.mark.parametrize("number", ["-1", "1e16", "-0.5", str(2**53 + 1)])
def test_what_counts_is_within_range(tmp_path: Path, number: str) -> None:
    (tmp_path / "x.json").write_text(f'{{"rows": [{number}]}}')
    assert read_json(tmp_path / "x.json")
    with pytest.raises(UnfitFileError, match="out of range"):
        read_counts(tmp_path / "x.json")


TOMLS = {
    "deep": "a = " + "[" * 5000 + "]" * 5000,
    "deep, and closed": "a = " + "[" * 60 + "]" * 60,
    "long integer": "a = " + "1" * 10_000,
    "integer of 65 bits": f"a = {2**64}",
    "long key": ".".join("a" * 50_000) + " = 1",
    "long key in quotes": ".".join(['"a b"', "'c'"] * 10_000) + " = 1",
    "long header": "[" + " . ".join("a" * 17) + "]",
    "no text": "a = '\udcff'",
}


@pytest.mark.parametrize("content", TOMLS.values(), ids=TOMLS)
def test_toml_that_no_code_expects_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.toml").write_text(content, errors="surrogateescape")
    started = time.process_time()
    with pytest.raises(UnfitFileError, match=r"run\.toml"):
        read_toml(tmp_path / "run.toml")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("content", ["-" * reading.MOST_TOML_BYTES, "a." * 8 + "a = 1", f"# {'a' * 99_999}", '"' * 999])
def test_looking_for_long_keys_takes_no_time(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.toml").write_text(content)
    started = time.process_time()
    try:
        read_toml(tmp_path / "run.toml")
    except UnfitFileError as error:
        assert "joined by dots" not in error.problem
    assert time.process_time() - started < 1


def test_a_folder_is_listed_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").touch()
    assert listed(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert listed(tmp_path / "none") == listed(tmp_path / "a") == listed(tmp_path / "a" / "none") == []

    def refuse(path: object) -> list[str]:
        raise PermissionError(errno.EACCES, "no", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    for read in (
        lambda: listed(tmp_path),
        lambda: sent_jobs(RunDir(tmp_path)),
        lambda: read_heartbeats(RunDir(tmp_path)),
    ):
        with pytest.raises(PermissionError):
            read()
