"""Tiles of a slide through a network, so that its device does not wait: read ahead in threads, batches in flight.

Batches have one fixed shape, so that there is one trace and every row is computed alike; they never mix slides, and
the last one of a slide is padded with black tiles.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.networks.inference.device import BatchSizeChangedError, Device, DeviceLease, Memory, Started
from hypoxia_hpc.networks.runtime import backend_name, gpu_names, is_device_lost, is_out_of_memory, versions
from hypoxia_hpc.records import Float32Array, Json, UInt8Array


class TileRows(Protocol):
    """The tiles of one slide, each to be read once."""

    @property
    def n(self) -> int:
        """Number of tiles, above 0."""

    @property
    def in_order(self) -> bool:
        """Whether they have to be read from the first to the last; otherwise threads read several batches at once."""

    def read_into(self, start: int, stop: int, out: UInt8Array) -> int:
        """Put tiles ``start`` to ``stop`` (not included) into the first rows of ``out``, uint8 (stop - start or more,
        px, px, 3); how many rows were written, of which there may be more."""


class Sliceable(Protocol):
    """Tiles uint8 (n, px, px, 3) that are read when they are sliced: an array in memory, or one of a store."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> UInt8Array: ...


@dataclass(frozen=True, slots=True)
class SlicedTiles:
    """`TileRows` of what can be sliced."""

    pixels: Sliceable
    in_order: bool = False

    @property
    def n(self) -> int:
        return len(self.pixels)

    def read_into(self, start: int, stop: int, out: UInt8Array) -> int:
        out[: stop - start] = self.pixels[start:stop]
        return stop - start


@dataclass(frozen=True, slots=True)
class Extracted:
    """Features of a slide, float32 (n, d), the size of its batches, the sizes that it found too large meanwhile, and
    its time on the device."""

    values: Float32Array
    batch_size: int
    too_large: tuple[int, ...]
    lease: DeviceLease


def features_of(
    device: Device, opened: Callable[[], AbstractContextManager[TileRows]], tick: Callable[[int], None]
) -> Extracted:
    """Features of the tiles of one slide. ``tick`` is called with the number of tiles of every finished batch. For any
    thread.

    Where the device has no memory for a batch, batches are halved from then on, and this slide begins again, so that
    all its batches have one size: ``opened`` is called once more. Raises what reading raises, MachineError where
    the device is lost or has no memory for a single tile.
    """
    too_large: list[int] = []
    while True:
        batch_size = device.batch_size
        try:
            with opened() as source, _Feed(device, source, batch_size, tick) as feed:
                lease = feed.run()
            return Extracted(feed.values(), batch_size, tuple(too_large), lease)
        except BatchSizeChangedError:
            continue
        except Exception as error:
            if is_device_lost(error):
                raise _lost(error) from error
            if not is_out_of_memory(error):
                raise
            if batch_size == 1:
                raise _too_small(error) from error
            if device.halve(batch_size):
                too_large.append(batch_size)


@dataclass(frozen=True, slots=True)
class _Part:
    """Tiles of a slide that make a batch, and where they are kept."""

    start: int
    stop: int
    memory: Memory


class _Feed(AbstractContextManager["_Feed"]):
    """One slide on its way through the device."""

    def __init__(self, device: Device, source: TileRows, batch_size: int, tick: Callable[[int], None]) -> None:
        self._device, self._source, self._tick = device, source, tick
        self._batch_size = batch_size
        self._starts = deque(range(0, source.n, batch_size))
        self._readers = ThreadPoolExecutor(1, "read-in-order") if source.in_order else device.readers
        self._ahead: deque[tuple[_Part, Future[UInt8Array]]] = deque()
        self._in_flight: deque[tuple[_Part, Started]] = deque()
        self._features: list[Float32Array] = []

    def __exit__(self, *exception: object) -> None:
        """After an error the memory is not used again: a thread or the device may still use it."""
        for _, reading in reversed(self._ahead):  # from the back: from the front, a thread could start one out of order
            reading.cancel()
        if self._source.in_order:
            self._readers.shutdown(cancel_futures=True)  # no thread reads when the source is closed
        self._device.give_up(len(self._in_flight))

    def run(self) -> DeviceLease:
        self._read_first()
        self._read_ahead()
        with self._device.lease(self._batch_size) as lease:
            while self._ahead:
                part, pixels = self._next(lease)
                self._in_flight.append((part, self._device.start(pixels, lease)))
                self._land(lease, self._device.engine.in_flight)
                self._read_ahead()
        self._land(lease, 0)
        return lease

    def values(self) -> Float32Array:
        return np.concatenate(self._features)

    def _read_first(self) -> None:
        """Read in this thread: another one takes 50 µs to begin, and most slides of a biopsy are one batch."""
        part, read = self._reading()
        pixels: Future[UInt8Array] = Future()
        pixels.set_result(read())
        self._ahead.append((part, pixels))

    def _read_ahead(self) -> None:
        while self._starts and len(self._ahead) < self._device.n_ahead:
            part, read = self._reading()
            self._ahead.append((part, self._readers.submit(read)))

    def _reading(self) -> tuple[_Part, Callable[[], UInt8Array]]:
        start = self._starts.popleft()
        stop = min(start + self._batch_size, self._source.n)
        memory = self._device.new_memory(self._batch_size)
        read_into = partial(self._source.read_into, start, stop)
        return _Part(start, stop, memory), partial(memory.fill, read_into, stop - start, self._batch_size)

    def _next(self, lease: DeviceLease) -> tuple[_Part, UInt8Array]:
        """The next batch that was read. While it is not ready, batches in flight are fetched."""
        part, pixels = self._ahead.popleft()
        if not pixels.done():
            self._land(lease, 0)
        return part, pixels.result()

    def _land(self, lease: DeviceLease, most: int) -> None:
        """Fetch what is in flight, but for the ``most`` latest."""
        while len(self._in_flight) > most:
            part, started = self._in_flight[0]
            features = self._device.fetch(started, lease)
            self._in_flight.popleft()
            self._features.append(features[: part.stop - part.start])
            self._device.take_back(part.memory)
            self._tick(part.stop - part.start)


def _lost(error: Exception) -> MachineError:
    return MachineError(
        f"the device was lost on {platform.node()}: {_first_line(error)}",
        remedy="see what nvidia-smi and dmesg say there; nothing is lost, run the same command again to go on",
    )


def _too_small(error: Exception) -> MachineError:
    return MachineError(
        f"the device on {platform.node()} has no memory for a batch of one tile: {_first_line(error)}",
        remedy="is another process on it? Else take a smaller [extract] backbone or [tile] tile_px",
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def compute_record() -> Json:
    """What the bits of a result depend on beside its inputs and what its stage knows: backend, versions, device.

    Not the threads: float32 features of all three backbones were equal with 1, 2, 4 and 16. Those of training matter.
    """
    gpu = next(iter(gpu_names()), None)
    device = {"device": gpu} if gpu else {"device": "cpu", "processor": processor()}
    return {"backend": backend_name(), **versions(), **device}


def processor() -> str:
    """Model of the processor, as Linux calls it."""
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = [said.get("model name", platform.machine())]
    return ", ".join(parts + [f"{name} {said[name]}" for name in ("cpu family", "model") if name in said])
