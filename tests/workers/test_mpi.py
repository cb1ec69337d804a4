"""Real ranks under mpiexec, on the real command line: equal to one process, and never hanging."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fault_runs import check_features, digests, of, start
from mpi_ranks import MPIEXEC, NEEDS_MPIEXEC
from waiting import wait_until

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.synthetic.slides import slide_file_name, synthetic_cohort, write_synthetic_slide
from hypoxia_hpc.workers.heartbeat import read_heartbeats
from hypoxia_hpc.workers.mpi import launched_ranks, mpi_library, mpi_name, refuse_lone_ranks

DRIVER = Path(__file__).with_name("mpi_driver.py")
LIMIT_SECONDS = 120
# From a stop to the end: 4 s on a busy machine, workers that still build their network included.
STOP_SECONDS = 30
N_SLIDES = 8
N_RANKS = 3
# About 100 tiles a slide, and a backbone that is built in a second.
SIZE_PX = (340, 320)
LASTING_SIZE_PX = (2040, 1920)  # 0.4 s a slide; one of SIZE_PX is tiled in 11 ms
SETTINGS = {
    "tile_px": "32",
    "name": '"small"',
    "backbone": '"vgg16"',
    "weights": '"random"',
    "batch_size": "16",
}
BROKEN = "TCGA-ZZ-0002-01Z-00-DX1"
GOOD = ("TCGA-ZZ-0003-01Z-00-DX1", "TCGA-ZZ-0004-01Z-00-DX1")
HOST = platform.node()
wait_for = partial(wait_until, seconds=LIMIT_SECONDS, pause=0.005)

pytestmark = NEEDS_MPIEXEC


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of synthetic slides, one of them cut off after init; nothing is done yet."""
    return made_ready(tmp_path_factory.mktemp("cohort"), SIZE_PX)


@pytest.fixture(scope="module")
def alone(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiled by one process with one worker, without MPI: what all others have to equal."""
    return tiled_alone(untouched, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def run(untouched: Path, tmp_path: Path) -> Path:
    return copy_of(untouched, tmp_path / "run")


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``untouched``, of slides that last long enough for a test to come in between."""
    return made_ready(tmp_path_factory.mktemp("lasting"), LASTING_SIZE_PX)


@pytest.fixture(scope="module")
def lasting_alone(lasting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiled_alone(lasting, tmp_path_factory.mktemp("lasting_alone"))


@pytest.fixture
def lasting_run(lasting: Path, tmp_path: Path) -> Path:
    return copy_of(lasting, tmp_path / "run")


@pytest.fixture(autouse=True)
def no_process_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every process that a test starts, and what that starts, has a word of its own in its environment."""
    word = f"HYPOXIA_TEST={os.getpid()}-{time.monotonic_ns()}"
    os.environ["HYPOXIA_TEST"] = word.partition("=")[2]
    yield
    wait_for(lambda: not those_with(word), seconds=30)


def made_ready(folder: Path, size_px: tuple[int, int]) -> Path:
    (folder / "slides").mkdir()
    for patient_id, _, slide in synthetic_cohort(N_SLIDES, seed=1):
        file = folder / "slides" / slide_file_name(patient_id)
        write_synthetic_slide(file, dataclasses.replace(slide, size_px=size_px))
    run = folder / "run"
    assert alone_on("init", run, "--slides", folder / "slides") == 0
    text = (run / "run.toml").read_text()
    for name, value in SETTINGS.items():
        text, n = re.subn(rf"(?m)^{name} = .*?(?=  #|$)", f"{name} = {value}", text, count=1)
        assert n, name
    (run / "run.toml").write_text(text)
    broken = folder / "slides" / slide_file_name("TCGA-ZZ-0002")
    assert broken.exists()
    broken.write_bytes(broken.read_bytes()[:1000])
    return run


def tiled_alone(run: Path, folder: Path) -> Path:
    copy = copy_of(run, folder / "run")
    assert alone_on("tile", copy, "--workers", "1") == 3
    return copy


def copy_of(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    return to


def alone_on(verb: str, run: Path, *arguments: str | Path) -> int:
    """Exit code of the command in one process."""
    return start(verb, run, *arguments).wait(LIMIT_SECONDS)


def start_ranks(*arguments: object, n: int = N_RANKS, **options: object) -> subprocess.Popen[str]:
    """``hypoxia-hpc ARGUMENT... --mpi`` on this number of ranks."""
    return mpiexec(["-n", str(n), sys.executable, "-m", "hypoxia_hpc", *map(str, arguments), "--mpi"], **options)


def mpiexec(arguments: list[str], **options: object) -> subprocess.Popen[str]:
    return popen([str(MPIEXEC), *arguments], **options)


def popen(command: list[str], **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload, no-any-return]


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode


def receipts(run: Path, stage: str = "tile") -> dict[str, dict[str, object]]:
    found = [json.loads(file.read_text()) for file in (run / "receipts" / stage).rglob("*.json")]
    return {one["slide_id"]: one for one in found}


def made(run: Path) -> dict[str, int]:
    """Inodes of the stores that have their final names: who makes one again changes it."""
    return {path.name: path.stat().st_ino for path in run.glob("tiles/*.zarr")}


def those_with(word: str) -> list[int]:
    """Processes with this word in their environment, but for zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has gone, or is another user's
            continue
    return [pid for pid in found if pid != os.getpid()]


def ranks_of(process: subprocess.Popen[str]) -> list[int]:
    """Process ids of the ranks, in order of rank: mpiexec starts a proxy, which starts them."""
    found = [pid for proxy in children_of(process.pid) for pid in children_of(proxy)]
    return [pid for pid in found if b"--mpi" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def workers_of(rank: int) -> list[int]:
    return [pid for pid in children_of(rank) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def children_of(pid: int) -> list[int]:
    try:
        tasks = [*Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def test_three_ranks_make_what_one_process_makes(run: Path, alone: Path) -> None:
    process = start_ranks("tile", run, "--workers", "1")
    wait_for(lambda: len(ranks_of(process)) == N_RANKS and all(map(workers_of, ranks_of(process))))
    wait_for(lambda: list(run.glob("tiles/*.zarr")))
    loaded = [Path(f"/proc/{worker}/maps").read_text() for rank in ranks_of(process) for worker in workers_of(rank)]
    told, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 3
    assert digests(run) == digests(alone)
    assert len(digests(run)) == 7 * (N_SLIDES - 1)
    statuses = Counter((one["status"], one["reason"]) for one in receipts(run).values())
    assert statuses == {("done", ""): N_SLIDES - 1, ("quarantined", "not-a-slide"): 1}
    line, _, why = told.partition("\n")
    assert line == f"tile: {N_SLIDES - 1} done now, 0 done before, 1 quarantined (not-a-slide 1)"
    assert why.count("quarantined in tile, not-a-slide: 1 slide") == why.count("remedy: ") == 1
    assert f"{N_SLIDES}/{N_SLIDES} slides" in log
    assert log.count(f"quarantined {BROKEN}") == 1
    assert loaded
    assert all("numpy" in maps for maps in loaded)
    assert not [maps for maps in loaded if "mpi4py" in maps or "libmpi" in maps]


@pytest.mark.long
def test_every_rank_tells_what_it_did(run: Path, alone: Path) -> None:
    assert ended(start_ranks("tile", run, "--workers", "1")) == 3
    files = read_heartbeats(RunDir(run))
    assert [(one.rank, one.ranks, one.state, one.workers) for one in files] == [
        (rank, N_RANKS, "ended", 1) for rank in range(N_RANKS)
    ]
    assert [one.slides_total for one in files] == [N_SLIDES, None, None]
    assert sum(one.slides_done for one in files) == N_SLIDES
    assert all(one.slides_done for one in files)
    assert sum(one.cost_done for one in files) == files[0].cost_total
    assert sum(one.tiles for one in files) == read_heartbeats(RunDir(alone))[0].tiles > 0
    assert all(one.busy_seconds[0] > 0 and not one.in_flight for one in files)


@pytest.mark.long
def test_what_is_done_is_not_done_again(run: Path, alone: Path) -> None:
    shutil.copytree(alone / "tiles", run / "tiles")
    process = start_ranks("tile", run, n=2)
    told, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, told.partition(",")[0]) == (3, "tile: 0 done now")
    assert {one["status"] for one in receipts(run).values()} == {"done", "quarantined"}


def test_features_of_two_ranks_are_those_of_one_process(alone: Path, tmp_path: Path) -> None:
    both = ["--slide", GOOD[0], "--slide", GOOD[1]]
    one, two = copy_of(alone, tmp_path / "one"), copy_of(alone, tmp_path / "two")
    assert alone_on("extract", one, *both) == 0
    assert ended(start_ranks("extract", two, *both, n=2)) == 0
    for slide_id in GOOD[:2]:
        check_features(two, one, slide_id)  # two ranks share the cores
    assert of(digests(two), "tiles") == of(digests(one), "tiles")
    assert digests(two).keys() == digests(one).keys() and len(of(digests(two), "features/")) == 2 * 5
    assert [
        (file.slides_done, file.name) for file in read_heartbeats(RunDir(two)) if file.ranks == 2 and file.name
    ] == [
        (1, "small by vgg16"),
        (1, "small by vgg16"),
    ]


@pytest.mark.long
def test_without_a_launcher_it_is_one_rank(run: Path, alone: Path) -> None:
    process = popen([sys.executable, "-m", "hypoxia_hpc", "tile", str(run), "--mpi"])
    told, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, told.partition(",")[0]) == (3, f"tile: {N_SLIDES - 1} done now")
    assert digests(run) == digests(alone)


def test_ranks_that_do_not_find_each_other_are_told(run: Path) -> None:
    """Each of them would be rank 0 of 1, and do all the slides."""
    lost = ["env", "-u", "PMI_FD", "-u", "PMI_RANK", sys.executable, "-m", "hypoxia_hpc", "tile", str(run), "--mpi"]
    process = mpiexec(["-n", "2", *lost])
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 4
    assert "2 ranks were started (PMI_SIZE=2), but this one sees 1" in log
    assert "MPICH" in log
    assert "srun --mpi=pmi2" in log
    assert not (run / "tiles").exists()


def test_a_machine_that_does_not_serve_one_rank_ends_all(run: Path) -> None:
    """Scratch is not set on rank 1."""
    text = (run / "run.toml").read_text()
    text = re.sub(r"(?m)^# scratch =", 'scratch = "$SCRATCH_OF_TEST"', text)
    (run / "run.toml").write_text(re.sub(r"(?m)^# stage_slides = false", "stage_slides = true", text))
    command = [sys.executable, "-m", "hypoxia_hpc", "tile", str(run), "--mpi"]
    process = mpiexec(
        ["-n", "1", "-env", "SCRATCH_OF_TEST", str(run.parent / "scratch"), *command, ":", "-n", "1", *command]
    )
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 4
    assert f"error on rank 1 of 2 on {HOST}: [site] scratch" in log


@pytest.mark.long
def test_what_is_wrong_for_all_is_said_once(run: Path) -> None:
    process = start_ranks("tile", run, "--slide", "unknown")
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert log.count("slide ids that are not in slides.csv: 1") == 1


def test_ranks_that_see_another_table_are_told(run: Path, untouched: Path, tmp_path: Path) -> None:
    other = copy_of(untouched, tmp_path / "other")
    rows = (other / "slides.csv").read_text().splitlines(keepends=True)
    (other / "slides.csv").write_text(rows[0] + rows[-1])
    first = ["-n", "1", "-env", "FAULT", "late", sys.executable, str(DRIVER), "tile", str(run), "--mpi"]
    process = mpiexec([*first, ":", "-n", "1", sys.executable, "-m", "hypoxia_hpc", "tile", str(other), "--mpi"])
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert f"error on rank 1 of 2 on {HOST}" in log
    assert "every node has to see the same run directory" in log


def test_a_bug_in_one_rank_ends_all(run: Path) -> None:
    sound = [sys.executable, "-m", "hypoxia_hpc", "tile", str(run), "--mpi"]
    faulty = ["-env", "FAULT", "rank", sys.executable, str(DRIVER), "tile", str(run), "--mpi"]
    process = mpiexec(["-n", "2", *sound, ":", "-n", "1", *faulty])
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1
    assert "KeyError: 'a slip of ours'" in log
    assert f"This is a bug in hypoxia_hpc on rank 2 of 3 on {HOST}" in log


@pytest.mark.long
def test_ranks_that_hear_of_nothing_are_ended_by_force(run: Path) -> None:
    command = [sys.executable, str(DRIVER), "tile", str(run), "--mpi"]
    process = mpiexec(["-n", "1", "-env", "FAULT", "lost", *command, ":", "-n", "1", "-env", "FAULT", "rank", *command])
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1
    assert f"This is a bug in hypoxia_hpc on rank 1 of 2 on {HOST}" in log


@pytest.mark.parametrize("n_ranks", [2, pytest.param(3, marks=pytest.mark.long)])
def test_a_bug_in_a_worker_costs_its_slide_alone(run: Path, alone: Path, n_ranks: int) -> None:
    process = mpiexec(
        [
            "-n",
            str(n_ranks),
            "-env",
            "FAULT",
            GOOD[0],
            sys.executable,
            str(DRIVER),
            "tile",
            str(run),
            "--workers",
            "1",
            "--mpi",
        ]
    )
    told, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1
    assert "internal-error 1" in told
    assert f"internal error on {GOOD[0]}" in log
    assert "KeyError: 'a slip of ours'" in log
    assert receipts(run)[GOOD[0]]["reason"] == "internal-error"
    assert digests(run) == {name: sha for name, sha in digests(alone).items() if GOOD[0] not in name}


def test_a_slide_that_kills_its_worker_twice_is_quarantined_on_any_rank(run: Path, alone: Path) -> None:
    faulty = [
        "-env",
        "FAULT",
        f"dies-{GOOD[0]}",
        sys.executable,
        str(DRIVER),
        "tile",
        str(run),
        "--workers",
        "1",
        "--mpi",
    ]
    told, _ = (process := mpiexec(["-n", "2", *faulty])).communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 3
    assert "worker-died 1" in told
    held = receipts(run)[GOOD[0]]
    assert (held["reason"], held["attempts"]) == ("worker-died", 2)
    assert alone_on("tile", run, "--retry") == 3
    assert digests(run) == digests(alone)


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.long), 2])
def test_a_killed_rank_ends_the_step_and_costs_the_slides_in_flight(
    lasting_run: Path, lasting_alone: Path, rank: int
) -> None:
    process = start_ranks("tile", lasting_run, "--workers", "1")
    wait_for(lambda: made(lasting_run))
    os.kill(ranks_of(process)[rank], signal.SIGKILL)
    assert ended(process) != 0
    wait_for(lambda: not those_with(f"HYPOXIA_TEST={os.environ['HYPOXIA_TEST']}"), seconds=30)
    before = made(lasting_run)
    assert len(before) < N_SLIDES - 1
    assert alone_on("tile", lasting_run, "--workers", "2") == 3
    assert digests(lasting_run) == digests(lasting_alone)
    assert before.items() <= made(lasting_run).items()


@pytest.mark.parametrize(
    ("number", "to"),
    [
        pytest.param(signal.SIGTERM, "all", marks=pytest.mark.long),
        (signal.SIGUSR1, 2),
        pytest.param(signal.SIGINT, 0, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_signals_stop_all_ranks_after_the_slides_in_flight(
    lasting_run: Path, lasting_alone: Path, number: signal.Signals, to: int | str
) -> None:
    process = start_ranks("tile", lasting_run, "--workers", "1")
    wait_for(lambda: made(lasting_run))
    os.kill(process.pid if to == "all" else ranks_of(process)[int(to)], number)
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 75
    assert "left to do" in log
    assert {one.state for one in read_heartbeats(RunDir(lasting_run))} == {"stopped"}
    assert 0 < len(made(lasting_run)) < N_SLIDES - 1
    assert not list(lasting_run.glob("tiles/.tmp-*"))
    assert alone_on("tile", lasting_run, "--workers", "2") == 3
    assert digests(lasting_run) == digests(lasting_alone)


@pytest.mark.parametrize("to", [pytest.param("all", marks=pytest.mark.long), 1], ids=str)
def test_slides_that_a_stopped_rank_has_not_begun_are_given_back(alone: Path, tmp_path: Path, to: str | int) -> None:
    """A worker of ``extract`` holds two slides while it builds its network. Rank 0 ends when it has them back."""
    run = copy_of(alone, tmp_path / "run")
    process = start_ranks("extract", run, n=2)
    try:
        wait_for(lambda: len(ranks_of(process)) == 2 and all(map(workers_of, ranks_of(process))))
        os.kill(process.pid if to == "all" else ranks_of(process)[int(to)], signal.SIGTERM)
        _, log = process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the ranks run on {STOP_SECONDS} s after the stop: rank 0 lacks slides that were given back")
    finally:
        process.kill()
    assert process.returncode == 75
    told = re.search(r"stopped on request; (\d+) left to do", log)
    assert told, log
    # On a busy machine a rank may finish a slide before the other has workers; the broken one is looked at, or not.
    n_made = len(list(run.glob("features/*/*.zarr")))
    assert N_SLIDES - int(told[1]) - n_made in (0, 1)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, (1, "")),
        ({"PMI_SIZE": "4", "SLURM_NTASKS": "9"}, (4, "PMI_SIZE")),
        ({"OMPI_COMM_WORLD_SIZE": "3", "PMI_SIZE": "4"}, (3, "OMPI_COMM_WORLD_SIZE")),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "8"}, (2, "SLURM_STEP_NUM_TASKS")),
        ({"SLURM_NTASKS": "8"}, (8, "SLURM_NTASKS")),
        ({"PMI_SIZE": "-1", "OMPI_COMM_WORLD_SIZE": "٣", "MPI_LOCALNRANKS": "x"}, (1, "")),
    ],
)
def test_the_nearest_launcher_tells_how_many_ranks_there_are(
    environment: dict[str, str], found: tuple[int, str]
) -> None:
    assert launched_ranks(environment) == found


@pytest.mark.parametrize(
    ("size", "environment"),
    [(1, {}), (4, {"PMI_SIZE": "4"}), (4, {"MPI_LOCALNRANKS": "2"}), (1, {"PMI_SIZE": "1", "SLURM_NTASKS": "8"})],
)
def test_ranks_that_find_each_other_may_go_on(size: int, environment: dict[str, str]) -> None:
    refuse_lone_ranks(size, environment, "MPICH 5")


@pytest.mark.parametrize(
    ("size", "environment"),
    [(1, {"SLURM_NTASKS": "8"}), (2, {"PMI_SIZE": "4"}), (1, {"MPI_LOCALNRANKS": "2"}), (1, {"PMI_SIZE": "2"})],
)
def test_others_may_not(size: int, environment: dict[str, str]) -> None:
    (name, value) = next(iter(environment.items()))
    with pytest.raises(MachineError, match=rf"{value} ranks were started \({name}={value}\), but this one sees {size}"):
        refuse_lone_ranks(size, environment, "MPICH 5")


def test_the_library_has_a_name() -> None:
    library, found = mpi_library()
    assert found
    assert re.fullmatch(r"MPICH \d+(\.\d+)+\S*|Open MPI v\S+|Intel.*", library)
    assert mpi_name("Open MPI v5.0.8, package: Open MPI root@x Distribution, ident: 5.0.8\0") == "Open MPI v5.0.8"
