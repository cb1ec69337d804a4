"""The one training loop: epochs of steps, with checkpoints, early stopping, and an end on request.

A program defines a step. All its state is in its ``variables``, and its batches are a function of seed and epoch. So a
training that was killed continues from its checkpoint and ends with the same bytes as one that was not killed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.errors import InputError, MachineError, Stopped
from hypoxia_hpc.networks.heads.checkpoints import Checkpoint, CheckpointArrays, Checkpoints
from hypoxia_hpc.networks.runtime import is_device_lost, is_out_of_memory
from hypoxia_hpc.records import Json

if TYPE_CHECKING:
    import keras

Logs = Mapping[str, float]
History = Mapping[str, list[float]]
OnEpoch = Callable[[Logs], None]
Batch = TypeVar("Batch")
WATCHED = "valid_loss"
_NOW, _BEST = "now", "best"


class Program(Protocol[Batch]):
    """What :func:`fit` trains. ``epochs`` is the number of passes. With ``patience`` the training ends after that
    many epochs in a row without a lower ``valid_loss``, and keeps the variables of the best epoch."""

    @property
    def epochs(self) -> int: ...

    @property
    def patience(self) -> int | None: ...

    def variables(self) -> Sequence[keras.Variable]:
        """All that a step changes, always in the same order: weights, moving averages, optimizer (built), random seeds.

        Give ``Dropout`` and similar layers a ``seed``: without one, on PyTorch, they draw from a generator that is
        not among the variables.
        """

    def steps(self, epoch: int, first: int) -> Generator[Batch, None, None]:
        """The batches of an epoch from step ``first`` on, a pure function of seed and epoch; closed in any case."""

    def step(self, epoch: int, number: int, batch: Batch) -> Logs:
        """Train on a batch; finite numbers of which the loop takes the mean over the epoch, ``loss`` among them."""

    def end_epoch(self, epoch: int) -> Logs:
        """Look at the validation patients: ``{"valid_loss": ..., ...}``, empty where there are none."""


@dataclass(slots=True)
class _Progress:
    """``step`` is the next one of ``epoch``, ``totals`` the sums of the logs of the steps before it."""

    epoch: int = 0
    step: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = -1

    def is_over(self, epochs: int, patience: int | None) -> bool:
        waited = self.epoch - 1 - self.best_epoch
        return self.epoch >= epochs or (patience is not None and self.best_epoch >= 0 and waited >= patience)


def fit(program: Program[Any], checkpoints: Checkpoints, *, on_epoch: OnEpoch, stop: threading.Event) -> History:
    """Train a program to its end; the logs by name, a number per epoch. Its variables are then the trained ones.

    A checkpoint is written whenever ``checkpoints`` is due, and on ``stop``; where there is one, training continues
    from it, and ``on_epoch`` is called for the earlier epochs too. The caller clears the checkpoint when the model is
    safe.

    Raises:
        Stopped: on request, after a checkpoint.
        InputError: a loss that is no finite number.
        MachineError: a checkpoint cannot be written (the earlier one stays), the device is lost or out of memory.
    """
    return _Fit(program, checkpoints, stop).run(on_epoch)


class _Fit:
    def __init__(self, program: Program[Any], checkpoints: Checkpoints, stop: threading.Event) -> None:
        self._program = program
        self._checkpoints = checkpoints
        self._stop = stop
        self._variables = program.variables()
        self._progress = _Progress()
        self._best: list[NDArray[Any]] = []

    def run(self, on_epoch: OnEpoch) -> History:
        found = self._checkpoints.load()
        if found is not None and found.state["made_by"] == self._made_by():
            self._restore(found)
        for epoch in range(self._progress.epoch):
            on_epoch({name: values[epoch] for name, values in self._progress.history.items()})
        while not self._progress.is_over(self._program.epochs, self._program.patience):
            on_epoch(self._one_epoch())
        if self._best:
            _assign(self._variables, self._best)
        return self._progress.history

    def _one_epoch(self) -> Logs:
        progress = self._progress
        with closing(self._program.steps(progress.epoch, progress.step)) as batches:
            for batch in batches:
                self._pause()
                with device_errors():
                    logs = self._program.step(progress.epoch, progress.step, batch)
                self._require_finite(logs)
                progress.step += 1
                for name, value in logs.items():
                    progress.totals[name] = progress.totals.get(name, 0.0) + value
        self._pause()
        logs = {name: total / progress.step for name, total in progress.totals.items()}
        with device_errors():
            logs |= self._program.end_epoch(progress.epoch)
        self._require_finite(logs)
        for name, value in logs.items():
            progress.history.setdefault(name, []).append(value)
        self._keep_best(logs)
        progress.epoch, progress.step, progress.totals = progress.epoch + 1, 0, {}
        return logs

    def _keep_best(self, logs: Logs) -> None:
        progress = self._progress
        if self._program.patience is None or WATCHED not in logs:
            return
        if progress.best_epoch < 0 or logs[WATCHED] < progress.history[WATCHED][progress.best_epoch]:
            progress.best_epoch = progress.epoch
            self._best = _copies(self._variables)

    def _pause(self) -> None:
        stopping = self._stop.is_set()
        if stopping or self._checkpoints.due:
            self._checkpoints.save({**asdict(self._progress), "made_by": self._made_by()}, self._arrays())
        if stopping:
            raise Stopped(
                f"stopped on request in epoch {self._progress.epoch + 1} of {self._program.epochs}",
                remedy="run the same command again to go on",
            )

    def _require_finite(self, logs: Logs) -> None:
        wrong = [f"{name} = {value}" for name, value in logs.items() if not math.isfinite(value)]
        if wrong:
            where = f"step {self._progress.step + 1} of epoch {self._progress.epoch + 1}"
            raise InputError(
                f"training diverged in {where}", offending=wrong, remedy="lower this model's learning_rate"
            )

    def _arrays(self) -> CheckpointArrays:
        sets = {_NOW: _copies(self._variables), _BEST: self._best}
        return {f"{name}.{index:05d}": array for name, arrays in sets.items() for index, array in enumerate(arrays)}

    def _restore(self, found: Checkpoint) -> None:
        state = {name: value for name, value in found.state.items() if name != "made_by"}
        self._progress = _Progress(**state)
        _assign(self._variables, _of_set(_NOW, found.arrays))
        self._best = _of_set(_BEST, found.arrays)

    def _made_by(self) -> Json:
        """What has to match in a checkpoint beside the key: with another backend the bytes would differ."""
        import keras

        shapes = [[variable.dtype, *variable.shape] for variable in self._variables]
        return {"backend": keras.backend.backend(), "keras": keras.__version__, "variables": shapes}


@contextmanager
def device_errors() -> Iterator[None]:
    """Turn what a backend raises when the device is lost, or has no memory left, into MachineError."""
    try:
        yield
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        if is_device_lost(error):
            raise MachineError(
                f"the device was lost while training: {said}",
                remedy="run the same command again, on another device if it is broken; it goes on from its checkpoint",
            ) from error
        if is_out_of_memory(error):
            raise MachineError(
                f"the device has too little memory to train with this batch_size: {said}",
                remedy="lower this model's batch_size in run.toml, or use a device with more memory",
            ) from error
        raise


def _of_set(name: str, arrays: CheckpointArrays) -> list[NDArray[Any]]:
    return [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}.")]


def _copies(variables: Sequence[keras.Variable]) -> list[NDArray[Any]]:
    """The values, copied: a view of the variable's memory would change with it."""
    import keras

    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def _assign(variables: Sequence[keras.Variable], arrays: Sequence[NDArray[Any]]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
