"""The training loop: stopped or killed at any instant and begun again, it makes the bytes of an undisturbed one."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stopping import StopAt

from hypoxia_hpc.errors import InputError, MachineError, Stopped
from hypoxia_hpc.networks.heads.checkpoints import FILE, Checkpoints
from hypoxia_hpc.networks.heads.loop import fit
from hypoxia_hpc.networks.runtime import start_keras

TRAINER = Path(__file__).with_name("trainer.py")
STEPS = 3


class Drift:
    """Adds batches to a variable; with losses told beforehand."""

    def __init__(self, losses: Sequence[float], patience: int | None = None) -> None:
        keras = start_keras()
        self.epochs, self.patience = len(losses), patience
        self._losses = losses
        self.place = keras.Variable(np.zeros(4, dtype="float32"), trainable=False)
        self.count = keras.Variable(0, dtype="int32", trainable=False)
        self.seen: list[tuple[int, int]] = []

    def variables(self) -> Sequence[Any]:
        return [self.place, self.count]

    def steps(self, epoch: int, first: int) -> Generator[np.ndarray, None, None]:
        for step in range(first, STEPS):
            yield np.random.default_rng([epoch, step]).normal(size=4).astype("float32")

    def step(self, epoch: int, number: int, batch: np.ndarray) -> dict[str, float]:
        self.seen.append((epoch, number))
        ops = start_keras().ops
        self.place.assign(ops.add(ops.multiply(self.place, 0.9), batch))
        self.count.assign(ops.add(self.count, 1))
        return {"loss": float(batch.sum())}

    def end_epoch(self, epoch: int) -> dict[str, float]:
        return {"valid_loss": self._losses[epoch]}


def never() -> threading.Event:
    return threading.Event()


def run(program: Drift, checkpoints: Checkpoints, stop: threading.Event) -> tuple[bytes, int, dict[str, list[float]]]:
    history = fit(program, checkpoints, on_epoch=lambda _: None, stop=stop)
    place, count = (start_keras().ops.convert_to_numpy(one) for one in program.variables())
    return place.tobytes(), int(count), dict(history)


LOSSES = (3.0, 1.0, 2.0, 1.5, 0.5)


@pytest.mark.parametrize("patience", [None, 2, 3])
@pytest.mark.parametrize("n", range(1, 21))
def test_stopped_before_any_step_it_goes_on_to_the_same_bytes(tmp_path: Path, n: int, patience: int | None) -> None:
    checkpoints = Checkpoints(tmp_path / "c", "key", 60)
    whole = run(Drift(LOSSES, patience), checkpoints, never())
    epochs = len(whole[2]["loss"])
    assert epochs == {None: 5, 2: 4, 3: 5}[patience]
    first = Drift(LOSSES, patience)
    if n <= (STEPS + 1) * epochs:
        with pytest.raises(Stopped, match=f"epoch {(n - 1) // (STEPS + 1) + 1} of 5") as caught:
            run(first, checkpoints, StopAt(n))
        assert caught.value.exit_code == 75
    second = Drift(LOSSES, patience)
    assert run(second, checkpoints, never()) == whole
    every = [(epoch, step) for epoch in range(epochs) for step in range(STEPS)]
    assert first.seen + second.seen == every


def test_patience_keeps_the_variables_of_the_best_epoch(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "key", 60)
    of_two_epochs = run(Drift(LOSSES[:2]), checkpoints, never())
    patient = run(Drift((3.0, 1.0, 2.0, 1.0, 0.5), patience=2), checkpoints, never())
    assert patient[:2] == of_two_epochs[:2]
    assert patient[2]["valid_loss"] == [3.0, 1.0, 2.0, 1.0]  # as low as before is not lower


def test_on_epoch_is_told_of_every_epoch_when_it_goes_on(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "key", 60)
    with pytest.raises(Stopped):
        run(Drift(LOSSES), checkpoints, StopAt(2 * (STEPS + 1) + 2))
    told: list[float] = []
    fit(Drift(LOSSES), checkpoints, on_epoch=lambda logs: told.append(logs["valid_loss"]), stop=never())
    assert told == list(LOSSES)


@pytest.mark.parametrize("losses", [(1.0, float("nan")), (1.0, float("inf"))])
def test_a_loss_that_is_no_number_ends_it(tmp_path: Path, losses: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="diverged in step 4 of epoch 2") as caught:
        run(Drift(losses), Checkpoints(tmp_path, "key", 60), never())
    assert caught.value.offending == (f"valid_loss = {losses[1]}",)
    assert "learning_rate" in caught.value.remedy


class Failing(Drift):
    """Its device fails in the second epoch."""

    def __init__(self, error: Exception) -> None:
        super().__init__(LOSSES)
        self._error = error

    def step(self, epoch: int, number: int, batch: np.ndarray) -> dict[str, float]:
        if (epoch, number) == (1, 1):
            raise self._error
        return super().step(epoch, number, batch)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered\nand more"), "the device was lost"),
        (MemoryError(), "too little memory to train with this batch_size"),
    ],
)
def test_a_device_that_fails_ends_it_and_the_checkpoint_stays(tmp_path: Path, error: Exception, said: str) -> None:
    checkpoints = Checkpoints(tmp_path / "c", "key", 0)
    with pytest.raises(MachineError, match=said) as caught:
        run(Failing(error), checkpoints, never())
    assert caught.value.exit_code == 4
    again = Drift(LOSSES)
    assert run(again, checkpoints, never()) == run(Drift(LOSSES), Checkpoints(tmp_path / "d", "key", 60), never())
    assert again.seen[0] == (1, 1)


def test_an_error_that_is_a_bug_passes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(Failing(ZeroDivisionError()), Checkpoints(tmp_path, "key", 60), never())


# --- checkpoints -------------------------------------------------------------------------------------------------


def saved(folder: Path, key: str = "key") -> Checkpoints:
    checkpoints = Checkpoints(folder, key, 60)
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, dtype=np.int64)}
    checkpoints.save({"epoch": 3, "loss": 0.1}, arrays)
    return checkpoints


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    found = saved(tmp_path / "x" / "y").load()
    assert found is not None
    assert found.state == {"epoch": 3, "loss": 0.1}
    assert {name: (array.dtype.name, array.tolist()) for name, array in found.arrays.items()} == {
        "a": ("float32", [[0, 1, 2], [3, 4, 5]]),
        "b": ("int64", 7),
    }
    Checkpoints(tmp_path / "x" / "y", "key", 60).clear()
    assert list((tmp_path / "x").iterdir()) == []
    Checkpoints(tmp_path / "x" / "y", "key", 60).clear()


def test_it_is_due_when_its_minutes_have_passed(tmp_path: Path) -> None:
    assert not Checkpoints(tmp_path, "key", 60).due
    assert Checkpoints(tmp_path, "key", 0).due


def test_one_of_another_key_is_as_good_as_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, "key", 60).load() is None
    saved(tmp_path)
    assert Checkpoints(tmp_path, "other", 60).load() is None


def test_a_damaged_one_is_as_good_as_none(tmp_path: Path) -> None:
    """Every byte changed, and cut everywhere."""
    checkpoints = saved(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    for place in range(len(whole)):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            (tmp_path / FILE).write_bytes(damaged)
            found = checkpoints.load()
            # White space in the header may change; nothing that counts.
            assert found is None or found.state == {"epoch": 3, "loss": 0.1}, place
    (tmp_path / FILE).write_bytes(whole)
    assert checkpoints.load() is not None


@pytest.mark.parametrize("change", [{"backend": "none"}, {"keras": "2"}, {"variables": []}])
def test_one_of_another_backend_or_shape_is_not_gone_on_from(tmp_path: Path, change: dict[str, Any]) -> None:
    checkpoints = Checkpoints(tmp_path, "key", 60)
    with pytest.raises(Stopped):
        run(Drift(LOSSES), checkpoints, StopAt(7))
    found = checkpoints.load()
    assert found is not None
    checkpoints.save({**found.state, "made_by": {**found.state["made_by"], **change}}, found.arrays)
    again = Drift(LOSSES)
    run(again, checkpoints, never())
    assert again.seen[0] == (0, 0)


def test_a_full_disk_leaves_the_earlier_checkpoint(small_disk: Path) -> None:
    checkpoints = Checkpoints(small_disk / "c", "key", 0)
    with pytest.raises(Stopped):
        run(Drift(LOSSES), checkpoints, StopAt(6))
    earlier = (small_disk / "c" / FILE).read_bytes()
    with pytest.raises(OSError, match="No space") as full, (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(64 * 1024))
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(MachineError, match="the disk is full") as caught:
        run(Drift(LOSSES), checkpoints, never())
    assert caught.value.exit_code == 4
    assert [path.name for path in (small_disk / "c").iterdir()] == [FILE]
    assert (small_disk / "c" / FILE).read_bytes() == earlier
    (small_disk / "filler").unlink()
    whole = run(Drift(LOSSES), Checkpoints(small_disk / "d", "key", 60), never())
    assert run(Drift(LOSSES), checkpoints, never()) == whole


def killed_again_and_again(folder: Path, head: str, kills: int) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, TRAINER, folder, head, str(kills), "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("head", "kills"),
    [
        ("tanh", 2),
        *(pytest.param(head, 15, marks=pytest.mark.long) for head in ("tanh", "funnel", "logistic")),
    ],
)
def test_killed_at_any_instant_it_goes_on_to_the_same_bytes(tmp_path: Path, head: str, kills: int) -> None:
    found = killed_again_and_again(tmp_path, head, kills)
    assert found["same"]
    assert found["checkpoint"]
    assert found["killed"] >= 1
