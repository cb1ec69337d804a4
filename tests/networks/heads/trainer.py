"""Run by test_loop.py in a process of its own, which starts Keras and forks: ``trainer.py FOLDER HEAD KILLS SEED``.

Trains a head once undisturbed. Then again and again, with a checkpoint after every step, each time in a child that is
killed after a random while, KILLS times, and at last to its end. Prints a JSON line: whether the bytes are the same.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from safetensors.numpy import save
from stores_of_rows import cohort

from hypoxia_hpc.config import FunnelTable, LogisticTable, TanhTable
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import HeadTable, train_head
from hypoxia_hpc.networks.runtime import start_keras

TABLES: dict[str, HeadTable] = {
    "tanh": TanhTable(units=64, epochs=12, batch_size=50, patience=3),
    "funnel": FunnelTable(units=(32, 8), epochs=8, batch_size=50, balance="weight"),
    "logistic": LogisticTable(c=1.0),
}


def train(table: HeadTable, data: TrainingData, folder: Path, minutes: float) -> None:
    checkpoints = Checkpoints(folder / "checkpoint", "key", minutes)
    trained = train_head(table, data, seed=3, checkpoints=checkpoints, on_epoch=lambda _: None, stop=threading.Event())
    metadata = {"history": json.dumps(trained.history, sort_keys=True)}
    (folder / "model").write_bytes(save({name: array.copy() for name, array in trained.arrays.items()}, metadata))


def in_a_child(table: HeadTable, data: TrainingData, folder: Path, minutes: float) -> int:
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        train(table, data, folder, minutes)
        os._exit(0)
    return child


def main(folder: Path, head: str, kills: int, seed: int) -> None:
    start_keras()
    table, data = TABLES[head], cohort(folder, (120, 200, 70, 40, 90, 60), 16)
    started = time.monotonic()
    assert os.waitpid(in_a_child(table, data, folder / "whole", 60), 0)[1] == 0
    lasted = time.monotonic() - started
    killed, moments = 0, random.Random(seed)
    while killed < kills:
        child = in_a_child(table, data, folder / "killed", 0)
        time.sleep(moments.uniform(0.3, 1.0) * lasted)
        os.kill(child, signal.SIGKILL)
        killed += 1
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            break  # it was done
    left = (folder / "killed" / "checkpoint" / "checkpoint.safetensors").exists()
    assert os.waitpid(in_a_child(table, data, folder / "killed", 60), 0)[1] == 0
    same = (folder / "whole" / "model").read_bytes() == (folder / "killed" / "model").read_bytes()
    print(json.dumps({"same": same, "killed": killed, "checkpoint": left}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
