"""Runs of a small cohort, whole or killed, and the bytes they leave: what tests of faults and of clusters share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np
from forks import SERVER, Fresh, Process, fork

from hypoxia_hpc.stores.commit import LEFTOVER_NAME
from hypoxia_hpc.stores.features import open_features
from hypoxia_hpc.synthetic.slides import slide_file_name, synthetic_cohort, write_synthetic_slide

N_SLIDES = 12
SIZE_PX = (340, 320)
# About 36 tiles a slide, a backbone that is built in a second, heads that are trained in two.
SETTINGS = (
    ("tile", "tile_px", "32"),
    ("extract", "name", '"small"'),
    ("extract", "backbone", '"vgg16"'),
    ("extract", "weights", '"random"'),
    ("extract", "batch_size", "16"),
    ("train", "split", "[0.5, 0.25, 0.25]"),
    ("train", "heads", '["tanh", "logistic", "attention"]'),
    ("train.tanh", "units", "16"),
    ("train.tanh", "epochs", "2"),
    ("train.tanh", "batch_size", "16"),
    ("train.attention", "units", "8"),
    ("train.attention", "attention_units", "4"),
    ("train.attention", "epochs", "2"),
    ("train.attention", "bag_tiles", "8"),
    ("train.deep_kmeans", "clusters", "3"),
    ("train.deep_kmeans", "units", "[16]"),
    ("train.deep_kmeans", "code", "4"),
    ("train.deep_kmeans", "pretrain_epochs", "1"),
    ("train.deep_kmeans", "epochs", "1"),
    ("train.deep_kmeans", "batch_size", "32"),
    ("evaluate", "bootstrap", "100"),
    ("site", "workers", "1"),
)
# What has to have the same bytes; receipts and the report hold times.
PROMISED = (
    "tiles/",
    "features/",
    "models/",
    "predictions/",
    "phenotypes/",
    "survival/",
    "split.csv",
    "stain.json",
    "metrics.json",
)
LIMIT_SECONDS = 240
# With AVX-512 oneDNN sums in the same order whatever the threads; without, 23 of 18,432 float16 values had another last
# bit with 16 threads, and features are promised to a cosine only.
HAS_AVX512 = " avx512f " in Path("/proc/cpuinfo").read_text()
LEAST_COSINE = 0.99999


def make_cohort(folder: Path, n_slides: int = N_SLIDES, broken: str = "") -> Path:
    """A run directory of synthetic slides, nothing done yet; with ``broken``, one more of that name that is cut off."""
    (folder / "slides").mkdir(parents=True)
    rows = ["patient_id,label"]
    for patient_id, hypoxic, slide in synthetic_cohort(n_slides, seed=1):
        write_synthetic_slide(
            folder / "slides" / slide_file_name(patient_id), dataclasses.replace(slide, size_px=SIZE_PX)
        )
        rows.append(f"{patient_id},{int(hypoxic)}")
    if broken:
        whole = next((folder / "slides").iterdir()).read_bytes()
        (folder / "slides" / broken).write_bytes(whole[: len(whole) // 10])
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    run = folder / "run"
    finish(start("init", run, "--slides", folder / "slides", "--patients", folder / "patients.csv"))
    for table, name, value in SETTINGS:
        change_setting(run, table, name, value)
    return run


def change_setting(run: Path, table: str, name: str, value: str) -> None:
    """Give an entry of run.toml another value, a TOML literal."""
    above, below = (run / "run.toml").read_text().split(f"\n[{table}]", 1)
    changed, n = re.subn(rf"(?m)^(# )?{name} =.*?(?=  #|$)", f"{name} = {value}", below, count=1)
    assert n, f"run.toml has no {name}"
    (run / "run.toml").write_text(f"{above}\n[{table}]{changed}")


def start(*arguments: str | Path, log: Path | None = None, kill_before: int | None = None) -> Process:
    """``hypoxia-hpc VERB RUN ...`` as forks in a process group of their own; output in ``log``, by default beside the
    run directory. ``kill_before``: calls are counted beside it, too, and before this one (0: none) all is killed."""
    fault = None if kill_before is None else fault_of(Path(arguments[1]), kill_before)
    return fork([*map(str, arguments)], log or log_of(arguments[1]), fault=fault)


def start_fresh(*arguments: str | Path, log: Path | None = None, kill_before: int | None = None) -> Process:
    """The same in a Python of its own with workers that are spawned, as users have it."""
    program: Sequence[str | Path] = ("-m", "hypoxia_hpc") if kill_before is None else (SERVER, "command")
    environment = dict(os.environ)
    if kill_before is not None:
        environment["HYPOXIA_TEST_FAULT"] = json.dumps(fault_of(Path(arguments[1]), kill_before))
    return Fresh([sys.executable, *program, *arguments], log or log_of(arguments[1]), environment)


def log_of(run: str | Path) -> Path:
    return Path(run).parent / "log"


def fault_of(run: Path, n: int) -> dict[str, str | int]:
    """What ``fork_server.py`` calls a fault."""
    return {"calls": str(run.parent / f"calls-{n}"), "n": n, "run": str(run)}


def finish(process: Process, expected: int = 0) -> None:
    """Wait for a process and its exit code."""
    code = process.wait(LIMIT_SECONDS)
    said = process.log.read_text(errors="replace")[-3000:]
    assert code == expected, f"{process.args!r} ended with {code}, not {expected}; the end of {process.log}:\n{said}"


def check_features(found: Path, expected: Path, slide_id: str) -> None:
    """The features of a slide in one run are those in another that had other threads: the same bytes where the
    processor keeps the order of sums, else to the cosine that is promised."""
    name = f"features/small/{slide_id}.zarr"
    if HAS_AVX512:
        assert of(digests(found), name) == of(digests(expected), name)
    one, other = (open_features(run / name).values[:].astype(np.float64) for run in (found, expected))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert len(one) and ((one * other).sum(axis=1) >= LEAST_COSINE * lengths).all()


def kill_group(process: Process) -> None:
    """SIGKILL for the process and all its workers, which must still be at work."""
    os.killpg(process.pid, signal.SIGKILL)
    finish(process, -signal.SIGKILL)


def is_finished(process: Process, seconds: float) -> bool:
    """Whether it ends well within this number of seconds; if not, it is killed. It may end between the two."""
    try:
        code = process.wait(seconds)
    except TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait(LIMIT_SECONDS)
    assert code in (0, -signal.SIGKILL), process.log.read_text(errors="replace")[-3000:]
    return code == 0


def copy_parts(source: Path, to: Path, parts: Sequence[str]) -> None:
    """Copy these files and folders from one run to another."""
    for part in parts:
        (to / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, to / part)
        else:
            shutil.copy2(source / part, to / part)


def copy_run(source: Path, to: Path, parts: Sequence[str] = ()) -> Path:
    """A new run directory with the tables of another one and these parts of it."""
    copy_parts(source, to, ["run.toml", "slides.csv", "patients.csv", "receipts/init", *parts])
    return to


def entries(run: Path) -> Iterator[Path]:
    """Every file and folder below a run that is no leftover of a kill nor in one."""
    for parent, folders, files in os.walk(run):
        folders[:] = [name for name in folders if not LEFTOVER_NAME.fullmatch(name)]
        yield from (Path(parent, name) for name in (*folders, *files) if not LEFTOVER_NAME.fullmatch(name))


def leftovers_in(run: Path) -> list[Path]:
    """Leftovers of kills, of any age."""
    return [path for path in run.rglob(".*") if LEFTOVER_NAME.fullmatch(path.name)]


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of every file whose bytes are promised, by path."""
    files = {path.relative_to(run).as_posix(): path for path in entries(run) if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if name.startswith(PROMISED)
    }


def names(run: Path) -> set[str]:
    """Paths of all that a run holds but for leftovers, and files that have a process number in their names."""
    found = {path.relative_to(run).as_posix() for path in entries(run)}
    return {name for name in found if not name.startswith("running/")}


def of(found: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """The digests below some paths."""
    return {name: digest for name, digest in found.items() if name.startswith(prefixes)}


def committed(run: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every store and model, and of the receipts of slides: who makes one again changes it."""
    patterns = ("tiles/*.zarr", "features/*/*.zarr", "models/*", "receipts/tile/*", "receipts/extract/*/*")
    found = [path for pattern in patterns for path in run.glob(pattern) if not LEFTOVER_NAME.fullmatch(path.name)]
    return {str(path.relative_to(run)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}
