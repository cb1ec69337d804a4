"""The same work in one process and in two at a time, each process on a core of its own."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from hypoxia_hpc.bench import delivery
from hypoxia_hpc.bench.bounds import NativeTiles
from hypoxia_hpc.config import TileTable


@contextmanager
def pool(path: Path, decoder: str, cores: Sequence[int]) -> Iterator[list[Connection]]:
    """Processes that wait for work on one slide, one on each core. Send "ours" or "decoder"; None comes when it is
    done."""
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for core in cores:
        near, far = context.Pipe()
        process = context.Process(target=_work, args=(path, decoder, core, far))
        process.start()
        ends.append(near)
        processes.append(process)
    try:
        for end in ends:
            end.recv()  # ready
        yield ends
    finally:
        for end, process in zip(ends, processes, strict=True):
            end.send("")
            process.join()


def seconds(ends: Sequence[Connection], work: str) -> float:
    """How long it takes until all of them have done it once."""
    started = time.perf_counter()
    for end in ends:
        end.send(work)
    for end in ends:
        end.recv()
    return time.perf_counter() - started


def _work(path: Path, decoder: str, core: int, end: Connection) -> None:
    os.sched_setaffinity(0, {core})
    table, places = TileTable(screen="off"), delivery.ring(TileTable().tile_px)
    works = {"decoder": NativeTiles(path).decoders()[decoder], "ours": lambda: delivery.deliver(path, table, places)}
    for work in works.values():
        work()
    end.send("ready")
    while asked := end.recv():
        works[asked]()
        end.send(None)
