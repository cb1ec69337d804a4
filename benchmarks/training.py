"""Top models trained from feature stores that do not fit in memory: python benchmarks/training.py [--json FILE]

Makes stores of a million rows of 2,048 x float16 (4 GB, deleted in the end) and sets what training makes of them
against its two bounds, reading alone and arithmetic alone, and against the reference's way: CSV files read by pandas.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from figures import Figure, Report, ratio

from hypoxia_hpc.bench.cases.heads import LENGTH, STANDARD, STORE_ROWS, Resident, make_stores
from hypoxia_hpc.bench.rounds import Lap, Laps, lap, median_seconds
from hypoxia_hpc.config import FunnelTable, LogisticTable, TanhTable
from hypoxia_hpc.errors import Stopped
from hypoxia_hpc.networks.data.batches import RowBatch, ShuffledRows
from hypoxia_hpc.networks.data.rows import LabelledStore, Rows, TrainingData, opened_rows
from hypoxia_hpc.networks.data.shuffling import WINDOW_ROWS
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.dense import DenseProgram
from hypoxia_hpc.networks.heads.logistic import Objective
from hypoxia_hpc.networks.heads.registry import HeadTable, train_head
from hypoxia_hpc.networks.runtime import backend_name, gpu_names, start_keras, threads_per_operation
from hypoxia_hpc.stores.features import FeatureRows

ROWS = 1_000_000
BATCH, CSV_ROWS = 500, 4000
DENSE: dict[str, TanhTable | FunnelTable] = {"tanh": TanhTable(epochs=1), "funnel": FunnelTable(epochs=1)}
# Half of a window, while a whole one is read: reading is given more weight than it has in an epoch.
STEPS = WINDOW_ROWS // 2 // BATCH
SHARE_TARGET, CSV_TARGET, MEMORY_TARGET_MB = 0.9, 5.0, 2000.0


def found_stores(folder: Path) -> TrainingData:
    """The stores that are there."""
    paths = sorted(folder.glob("*.zarr"))
    stores = [LabelledStore(path, FeatureRows(path).n, number % 2, path.name) for number, path in enumerate(paths)]
    return TrainingData(tuple(stores), (), LENGTH)


def forget(data: TrainingData) -> None:
    """Have the page cache drop the stores, so that the disk is read."""
    for store in data.train:
        descriptor = os.open(store.path / "features" / "c.0.0", os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def shuffled(rows: Rows) -> ShuffledRows:
    return ShuffledRows(rows, "sample", BATCH, seed=0, epochs=1)


def drain(rows: Rows) -> None:
    """An epoch's batches, and nothing made of them."""
    for _ in shuffled(rows).batches(0, 0):
        pass


def from_stores(program: DenseProgram, rows: Rows) -> Lap:
    """Batches of the first window from the second on; meanwhile the second window is read."""
    with closing(shuffled(rows).batches(0, 0)) as batches:
        next(batches)  # waits for the first window
        return lap(lambda: steps(program, islice(batches, STEPS)))


def steps(program: DenseProgram, batches: Iterable[RowBatch]) -> None:
    for number, batch in enumerate(batches):
        program.step(0, number, batch)


def in_rounds(works: Mapping[str, Callable[[], Lap]], rounds: int) -> Laps:
    """Laps of all works, one a round; another one is first in each."""
    names, laps = list(works), {name: [] for name in works}
    for number in range(rounds):
        lease = number % len(names)
        for name in names[lease:] + names[:lease]:
            laps[name].append(works[name]())
    return laps


# --- the reference's way -------------------------------------------------------------------------------------------


def write_csv(path: Path, rows: Rows) -> None:
    """Rows as text, label first."""
    import pandas as pd

    values = rows.read(0, 0, STORE_ROWS).astype(np.float32)
    frame = pd.DataFrame(np.concatenate([values] * (CSV_ROWS // STORE_ROWS)))
    frame.insert(0, "label", np.arange(CSV_ROWS) % 2)
    frame.to_csv(path, index=False)


def csv_batches(path: Path) -> Iterator[RowBatch]:
    import pandas as pd

    for frame in pd.read_csv(path, chunksize=BATCH):
        yield RowBatch(frame.iloc[:, 1:].to_numpy(dtype=np.float16), frame["label"].to_numpy())


def csv_pass(objective: Objective, path: Path) -> None:
    raw = np.zeros(LENGTH)
    for batch in csv_batches(path):
        for label in (0, 1):
            objective.part(label, batch.values[batch.labels == label], raw, 0.0)


# --- parts ---------------------------------------------------------------------------------------------------------


def reading(report: Report, rows: Rows, data: TrainingData, rounds: int) -> None:
    def cold() -> Lap:
        forget(data)
        return lap(lambda: drain(rows))

    laps = in_rounds({"page cache": lambda: lap(lambda: drain(rows)), "disk": cold}, rounds)
    rate(report, "reading alone, the batches of an epoch", laps, dict.fromkeys(laps, len(rows)))


def dense(report: Report, rows: Rows, csv: Path, head: str, rounds: int) -> None:
    program = DenseProgram(DENSE[head], rows, rows, STANDARD, seed=0)
    batch = next(shuffled(rows).batches(0, 0))
    program.step(0, 0, batch)  # traced
    works = {
        "from stores": lambda: from_stores(program, rows),
        "on data in memory": lambda: lap(lambda: steps(program, repeat(batch, STEPS))),
        "CSV with pandas": lambda: lap(lambda: steps(program, csv_batches(csv))),
    }
    laps = in_rounds(works, rounds)
    counts = {"from stores": STEPS * BATCH, "on data in memory": STEPS * BATCH, "CSV with pandas": CSV_ROWS}
    rate(report, f"{head}, batches of {BATCH}", laps, counts)
    add_figures(report, head, laps, counts)


def logistic(report: Report, rows: Rows, csv: Path, rounds: int) -> None:
    at = np.zeros(LENGTH + 1)
    objective, resident = (Objective(each, STANDARD, 0.01) for each in (rows, Resident.of(rows)))
    works = {
        "from stores": lambda: lap(lambda: objective(at)),
        "on data in memory": lambda: lap(lambda: resident(at)),
        "reading alone, in order": lambda: lap(lambda: [None for _ in rows.each_chunk(lambda _, values: None)]),
        "CSV with pandas": lambda: lap(lambda: csv_pass(objective, csv)),
    }
    laps = in_rounds(works, rounds)
    counts = {**dict.fromkeys(works, len(rows)), "CSV with pandas": CSV_ROWS}
    rate(report, "logistic, one pass of L-BFGS", laps, counts)
    add_figures(report, "logistic", laps, counts)


def add_figures(report: Report, head: str, laps: Laps, counts: dict[str, int]) -> None:
    share = ratio(laps, "on data in memory", "from stores")
    reading_alone = "reading alone, in order"
    both = share + ratio(laps, reading_alone, "from stores") if reading_alone in laps else share
    against = counts["from stores"] / counts["CSV with pandas"]
    report.add(
        Figure(f"{head}: share of the rate on data in memory", share, "%"),
        # Where the device is the processor, threads that read take it from the arithmetic: their times add up.
        Figure(f"{head}: share of the rate of arithmetic and reading", both, "%", SHARE_TARGET),
        Figure(
            f"{head}: against CSV with pandas", ratio(laps, "CSV with pandas", "from stores") * against, "x", CSV_TARGET
        ),
        Figure(
            f"{head}: against CSV with pandas, if our reading cost nothing",
            ratio(laps, "CSV with pandas", "on data in memory") * against,
        ),
    )


def rate(report: Report, title: str, laps: Laps, counts: dict[str, int]) -> None:
    report.say(f"\n{title}")
    for name, column in laps.items():
        report.say(f"  {name:32}{counts[name] / median_seconds(column):12,.0f} rows/s")
    report.rates[title] = {
        "rows": counts,
        "seconds": {name: [one.clock for one in column] for name, column in laps.items()},
    }


# --- memory, in a process of its own -------------------------------------------------------------------------------


class StopAfter(threading.Event):
    """Set when it is asked for the n-th time."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._left = n

    def is_set(self) -> bool:
        self._left -= 1
        return self._left <= 0


def alone(head: str, folder: Path) -> None:
    """Train a head on the stores of a folder, print how long it took and the most memory that this process had."""
    tables: dict[str, HeadTable] = {**DENSE, "logistic": LogisticTable(max_iter=3)}
    stop = StopAfter(STEPS) if head == "funnel" else threading.Event()
    data = found_stores(folder)
    with tempfile.TemporaryDirectory() as checkpoint, suppress(Stopped):
        checkpoints = Checkpoints(Path(checkpoint), "key", 10)
        took = lap(lambda: train_head(tables[head], data, seed=0, checkpoints=checkpoints, on_epoch=print, stop=stop))
        print(f"seconds {took.clock}")
    print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))


def memory(report: Report, folder: Path) -> None:
    """Tanh trains a whole epoch, the funnel while its second window is read, logistic regression three iterations."""
    for head in (*DENSE, "logistic"):
        command = [sys.executable, __file__, "--alone", head, "--folder", str(folder)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        report.say(f"\n{head}, in a process of its own\n  " + said.strip().replace("\n", "\n  "))
        megabytes = int(said.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        report.add(Figure(f"{head}: peak memory", megabytes, "MB", MEMORY_TARGET_MB, at_most=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the stores are made (4 GB): the disk that is measured")
    parser.add_argument("--alone", choices=(*DENSE, "logistic"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.alone:
        alone(wanted.alone, wanted.folder)
        return
    start_keras()
    report = Report()
    report.say(f"{backend_name()}, {next(iter(gpu_names()), 'CPU')}, {threads_per_operation()} threads an operation")
    with tempfile.TemporaryDirectory(dir=wanted.folder) as made:
        folder = Path(made)
        data = make_stores(folder, wanted.rows)
        with opened_rows(data) as (rows, _):
            write_csv(folder / "rows.csv", rows)
            reading(report, rows, data, wanted.rounds)
            logistic(report, rows, folder / "rows.csv", wanted.rounds)
            for head in DENSE:
                dense(report, rows, folder / "rows.csv", head, wanted.rounds)
        memory(report, folder)
    report.table()
    if wanted.json:
        report.write(wanted.json)


if __name__ == "__main__":
    main()
