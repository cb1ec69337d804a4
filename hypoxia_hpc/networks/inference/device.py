"""A network on its device, shared by threads with a slide each: their order, and the time that each slide takes."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from hypoxia_hpc.errors import HypoxiaError, InputError, MachineError
from hypoxia_hpc.networks.inference.engines import Engine, keras_engine
from hypoxia_hpc.networks.inference.openvino_engine import openvino_engine
from hypoxia_hpc.networks.runtime import (
    is_device_lost,
    is_out_of_memory,
    prefer_torch,
    require_given_gpu,
    set_threads,
)
from hypoxia_hpc.records import Float32Array, UInt8Array

if TYPE_CHECKING:
    import keras

# Batches of one slide that are read before they are needed, fewer where they are larger than this together. Not many
# more than threads that read: the processor's cache holds a few.
MOST_AHEAD, AHEAD_BYTES = 16, 2**30
_BUILDING = threading.Lock()
Started = tuple[Engine, Any]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a worker process runs: ``build`` makes the network, uint8 (b, tile_px, tile_px, 3) -> float32 (b, d), in
    ``threads`` threads. To be pickled, so ``build`` is a function of a module, perhaps with ``functools.partial``. It
    builds one of ``precision``; of float32 for OpenVINO, which converts by itself. ``needs_given_gpu``: a GPU that the
    process was given has to be seen. ``torch_for``: the entry of run.toml that needs PyTorch, if one does."""

    build: Callable[[], keras.Model]
    tile_px: int
    batch_size: int
    precision: str = "float32"
    xla: bool = False
    engine: Literal["keras", "openvino"] = "keras"
    threads: int = 1
    needs_given_gpu: bool = False
    torch_for: str = ""


def device_of(plan: DevicePlan) -> Device:
    """The device of this process, made when it is asked for the first time.

    Raises InputError where the code of the network fails: this is not the fault of a slide, and ends the work on
    all of them; MachineError where its device fails.
    """
    with _BUILDING:
        try:
            return _device_of(plan)
        except HypoxiaError:
            raise
        except Exception as error:
            raise _not_built(error) from error


def _not_built(error: Exception) -> HypoxiaError:
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    if is_device_lost(error) or is_out_of_memory(error):
        return MachineError(
            f"the device has no room for the network, or is lost: {said}",
            remedy="see what else runs there; nothing is lost, run the same command again to go on",
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return InputError(
        f"the network cannot be built: {said}",
        offending=[f"{frame.filename}, line {frame.lineno}, in {frame.name}"],
        remedy="mend the code of the network (no slide is at fault), then run the same command again",
    )


@lru_cache(maxsize=1)
def _device_of(plan: DevicePlan) -> Device:
    if plan.torch_for:
        prefer_torch(plan.torch_for)
    set_threads(plan.threads)
    if plan.needs_given_gpu:
        require_given_gpu()
    model = plan.build()
    return Device(lambda shape: _engine(plan, model, shape), plan.tile_px, plan.batch_size, readers=plan.threads)


def _engine(plan: DevicePlan, model: keras.Model, shape: tuple[int, ...]) -> Engine:
    if plan.engine == "openvino":
        return openvino_engine(model, shape, precision=plan.precision, threads=plan.threads)
    return keras_engine(model, xla=plan.xla)


class BatchSizeChangedError(Exception):
    """Batches have another size than they had when this slide was begun."""


@dataclass(slots=True)
class DeviceLease:
    """The seconds of one slide on the device: waiting for it, holding it, and the part of the latter in which the
    device was idle. A slide holds the device from the end of the slide before to its own end."""

    queued_seconds: float = 0.0
    device_seconds: float = 0.0
    waited_seconds: float = 0.0


class Device:
    """A network, memory for batches, and threads that read ahead.

    Slides take turns. ``made_in`` is the thread that waited for it to be built. ``batch_size`` is the size that fits
    into memory as far as is known, ``asked`` at most; ``engine_for`` makes an engine for batches of a shape (b,
    tile_px, tile_px, 3).
    """

    def __init__(
        self, engine_for: Callable[[tuple[int, ...]], Engine], tile_px: int, batch_size: int, readers: int
    ) -> None:
        self.made_in = threading.get_ident()
        self.tile_px = tile_px
        self.asked = self.batch_size = batch_size
        self._engine_for = engine_for
        self.engine = engine_for(self.shape)
        self.readers = ThreadPoolExecutor(readers, "read-ahead")
        batch_bytes = 3 * tile_px**2 * batch_size
        self.n_ahead = max(2, min(readers + 1, MOST_AHEAD, AHEAD_BYTES // batch_bytes))
        self._turns, self._lending = threading.Lock(), threading.Lock()
        self._free: list[Memory] = []
        self._clock = _Clock()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.batch_size, self.tile_px, self.tile_px, 3)

    @contextmanager
    def lease(self, batch_size: int) -> Iterator[DeviceLease]:
        """The device, for one slide alone. Raises BatchSizeChangedError where batches have another size by now."""
        came = time.perf_counter()
        with self._turns:
            if self.batch_size != batch_size:
                raise BatchSizeChangedError
            lease = DeviceLease(queued_seconds=time.perf_counter() - came)
            try:
                yield lease
            finally:
                self._clock.close(lease)

    def start(self, pixels: UInt8Array, lease: DeviceLease) -> Started:
        """Start a batch, of ``shape``; only in a turn."""
        self._clock.begin(lease)
        try:
            return self.engine, self.engine.start(pixels)
        except Exception:
            self._clock.forget(1)
            raise

    def fetch(self, started: Started, lease: DeviceLease) -> Float32Array:
        """Features of a batch, (batch_size, d); also after the turn."""
        engine, batch = started
        features = engine.fetch(batch)
        self._clock.end(lease)
        return features

    def give_up(self, n: int) -> None:
        """After an error: this number of started batches is never fetched."""
        self._clock.forget(n)

    def new_memory(self, batch_size: int) -> Memory:
        """Free memory for a batch of ``batch_size``: the size that the slide began with, which may be outdated."""
        with self._lending:
            # The memory that was used last is still in the processor's cache.
            fits = next((one for one in reversed(self._free) if one.most_tiles >= batch_size), None)
            if fits is None:
                return Memory(self.engine.new_batch((batch_size, *self.shape[1:])))
            self._free.remove(fits)
            return fits

    def take_back(self, memory: Memory) -> None:
        with self._lending:
            self._free.append(memory)

    def halve(self, batch_size: int) -> bool:
        """Batches half as large as ``batch_size``, above 1; false where another slide halved them already."""
        with self._turns:
            if self.batch_size != batch_size:
                return False
            self.batch_size = -(-batch_size // 2)
            self.engine = self._engine_for(self.shape)
            return True


class Memory:
    """Room for a batch, used again and again."""

    def __init__(self, pixels: UInt8Array) -> None:
        self._pixels = pixels
        self._n_dirty = 0

    @property
    def most_tiles(self) -> int:
        return len(self._pixels)

    def fill(self, read_into: Callable[[UInt8Array], int], n: int, batch_size: int) -> UInt8Array:
        """A batch of ``n`` tiles and black ones behind them. ``read_into`` puts them there; it returns how many rows it
        wrote, which may be more."""
        pixels = self._pixels[:batch_size]
        n_dirty = max(self._n_dirty, read_into(pixels))
        pixels[n:n_dirty] = 0
        self._n_dirty = n
        return pixels


class _Clock:
    """Assigns the time of the device to slides: all of it, from the moment the network is built."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_in_flight = 0
        self._quiet_since = self._told_until = time.perf_counter()
        self._latest: DeviceLease | None = None

    def begin(self, lease: DeviceLease) -> None:
        with self._lock:
            if self._n_in_flight == 0:
                lease.waited_seconds += time.perf_counter() - self._quiet_since
            self._n_in_flight += 1
            self._latest = lease

    def end(self, lease: DeviceLease) -> None:
        """A batch was fetched. After its turn the time still counts for its slide, until another slide begins."""
        with self._lock:
            self._over(1)
            if self._latest is lease:
                self._tell(lease)

    def forget(self, n: int) -> None:
        with self._lock:
            if n:
                self._over(n)

    def close(self, lease: DeviceLease) -> None:
        with self._lock:
            self._tell(lease)

    def _over(self, n: int) -> None:
        self._n_in_flight -= n
        self._quiet_since = time.perf_counter()

    def _tell(self, lease: DeviceLease) -> None:
        now = time.perf_counter()
        lease.device_seconds += now - self._told_until
        self._told_until = now
