"""Feeding the device: the right features whatever the sizes and threads, memory used again, time accounted for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from hypoxia_hpc.errors import InputError, MachineError, SlideError
from hypoxia_hpc.networks.inference.device import Device, DevicePlan, device_of
from hypoxia_hpc.networks.inference.engines import Engine, keras_engine
from hypoxia_hpc.networks.inference.feeding import Extracted, TileRows, compute_record, features_of
from hypoxia_hpc.networks.runtime import backend_name, start_keras, versions

PX, BATCH, LENGTH = 24, 8, 5
HANG_SECONDS = 60
keras = start_keras()


class Seen(keras.layers.Layer):
    """Passes on what it gets, and writes down its shape: once for each trace, or each call where nothing is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int | None, ...]] = []

    def call(self, pixels: Any) -> Any:
        self.shapes.append(tuple(pixels.shape))
        return pixels


def small_network(seen: Seen | None = None, *, mixes_rows: bool = False) -> Any:
    """Convolutions on tiles; with ``mixes_rows`` every row hears of all others, as no backbone does."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((PX, PX, 3), dtype="uint8")
    x = keras.ops.cast(seen(pixels) if seen else pixels, "float32") / 255
    x = keras.layers.Conv2D(7, 3, activation="relu")(x)
    x = keras.layers.Conv2D(LENGTH, 3)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if mixes_rows:
        x = x + keras.ops.sum(x, axis=0, keepdims=True)
    return keras.Model(pixels, x)


def device_for(model: Any, batch_size: int = BATCH, readers: int = 2) -> Device:
    return Device(lambda _: keras_engine(model, xla=False), PX, batch_size, readers)


def tiles_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, PX, PX, 3), dtype=np.uint8)


@dataclass
class Slide:
    """Tiles in memory. Like a store it may write more rows than it was asked for; with ``in_order`` it has to be read
    from the first tile to the last, by one thread, and not after it was closed."""

    tiles: np.ndarray
    in_order: bool = False
    seconds: float = 0.0
    broken_from: int | None = None
    is_open: bool = True
    read: list[tuple[int, int]] = field(default_factory=list)
    reading: threading.Lock = field(default_factory=threading.Lock)

    @property
    def n(self) -> int:
        return len(self.tiles)

    def read_into(self, start: int, stop: int, out: np.ndarray) -> int:
        if self.in_order:
            assert self.reading.acquire(blocking=False)
            assert start == (self.read[-1][1] if self.read else 0)
            assert self.is_open
        time.sleep(self.seconds)
        if self.broken_from is not None and stop > self.broken_from:
            raise SlideError("damaged-store", "a chunk is gone")
        out[: stop - start] = self.tiles[start:stop]
        self.read.append((start, stop))
        more = min(len(out), stop - start + 3)
        out[stop - start : more] = 77
        if self.in_order:
            self.reading.release()
        return more

    @contextmanager
    def opened(self) -> Iterator[TileRows]:
        self.is_open = True
        self.read.clear()
        yield self
        self.is_open = False


def extracted(device: Device, slide: Slide, tick: Callable[[int], None] = lambda n: None) -> Extracted:
    return features_of(device, slide.opened, tick)


def one_by_one(model: Any, tiles: np.ndarray, batch_size: int = BATCH) -> np.ndarray:
    """The slow obvious twin: batch after batch through the network, nothing traced."""
    parts = []
    for start in range(0, len(tiles), batch_size):
        batch = np.zeros((batch_size, PX, PX, 3), np.uint8)
        part = tiles[start : start + batch_size]
        batch[: len(part)] = part
        parts.append(keras.ops.convert_to_numpy(model(batch, training=False))[: len(part)])
    return np.concatenate(parts)


def test_features_are_those_of_the_network() -> None:
    model = small_network()
    device = device_for(model)
    for n in (1, 5, 8, 9, 16, 100):
        for in_order in (False, True):
            ticks: list[int] = []
            found = extracted(device, Slide(tiles_of(n, n), in_order), ticks.append)
            np.testing.assert_allclose(found.values, one_by_one(model, tiles_of(n, n)), rtol=1e-5, atol=1e-6)
            assert (found.values.dtype, found.values.shape) == (np.float32, (n, LENGTH))
            assert ticks == [min(BATCH, n - start) for start in range(0, n, BATCH)]
            assert (found.batch_size, found.too_large) == (BATCH, ())


def test_every_tile_is_read_once_and_one_that_needs_it_in_order() -> None:
    device = device_for(small_network(), readers=4)
    for in_order in (True, False):
        slide = Slide(tiles_of(61), in_order)
        extracted(device, slide)
        assert sorted(slide.read) == [(start, min(start + BATCH, 61)) for start in range(0, 61, BATCH)]
        assert not slide.is_open


def test_there_is_one_shape_and_one_trace() -> None:
    seen = Seen()
    device = device_for(small_network(seen))
    built = len(seen.shapes)
    for n in (3, 8, 30):
        extracted(device, Slide(tiles_of(n)))
    assert set(seen.shapes[built:]) == {(BATCH, PX, PX, 3)}
    if backend_name() != "torch":  # which traces nothing
        assert len(seen.shapes) == built + 1


def test_rows_behind_the_last_tile_are_black() -> None:
    """Whatever was in that memory before, and whatever the source left there."""
    model = small_network(mixes_rows=True)
    device = device_for(model)
    for n, seed in ((40, 1), (3, 2), (11, 3), (1, 4)):
        expected = one_by_one(model, tiles_of(n, seed))
        np.testing.assert_allclose(extracted(device, Slide(tiles_of(n, seed))).values, expected, rtol=1e-5, atol=1e-5)


def test_memory_is_used_again() -> None:
    engine = keras_engine(small_network(), xla=False)
    made: list[tuple[int, ...]] = []

    def new_batch(shape: tuple[int, ...]) -> np.ndarray:
        made.append(shape)
        return engine.new_batch(shape)

    device = Device(lambda _: replace(engine, new_batch=new_batch), PX, BATCH, readers=2)
    for n in (200, 3, 50) * 5:
        extracted(device, Slide(tiles_of(n)))
    assert set(made) == {(BATCH, PX, PX, 3)}
    assert len(made) <= device.n_ahead + engine.in_flight + 1


def test_slides_in_several_threads_get_their_own_features() -> None:
    """One at a time is on the device."""
    model = small_network()
    engine = keras_engine(model, xla=False)
    at_work = threading.Lock()

    def start(batch: np.ndarray) -> Any:
        assert at_work.acquire(blocking=False)
        started = engine.start(batch)
        at_work.release()
        return started

    device = Device(lambda _: replace(engine, start=start), PX, BATCH, readers=2)
    sizes = [1 + 7 * number % 40 for number in range(24)]
    slides = [Slide(tiles_of(n, n), in_order=n % 3 == 0) for n in sizes]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(partial(extracted, device), slides))
    for n, one in zip(sizes, found, strict=True):
        np.testing.assert_allclose(one.values, one_by_one(model, tiles_of(n, n)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("broken_from", [0, 20, 39])
def test_what_reading_raises_comes_out_and_the_next_slide_is_fine(in_order: bool, broken_from: int) -> None:
    model = small_network()
    device = device_for(model)
    for _ in range(4):
        slide = Slide(tiles_of(40), in_order, broken_from=broken_from)
        with pytest.raises(SlideError, match="a chunk is gone"):
            extracted(device, slide)
    np.testing.assert_allclose(
        extracted(device, Slide(tiles_of(40))).values, one_by_one(model, tiles_of(40)), rtol=1e-5, atol=1e-6
    )


# --- time --------------------------------------------------------------------------------------------------------


class Clock:
    """In place of ``time``: it goes on only where a test says so, and knows which threads have looked at it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._changed = threading.Condition()
        self._lookers: set[int] = set()

    def perf_counter(self) -> float:
        with self._changed:
            self._lookers.add(threading.get_ident())
            self._changed.notify_all()
            return self.now

    def pass_by(self, seconds: float) -> None:
        with self._changed:
            self.now += seconds

    def wait_for_lookers(self, n: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._lookers) >= n, timeout=HANG_SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("hypoxia_hpc.networks.inference.device.time", made)
    return made


class LateSlide(Slide):
    """Each batch takes a second of the clock to read, which begins when the one before it is finished."""

    def __init__(self, clock: Clock, n_tiles: int) -> None:
        super().__init__(tiles_of(n_tiles))
        self.finished = threading.Semaphore(0)
        self._clock = clock

    def read_into(self, start: int, stop: int, out: np.ndarray) -> int:
        assert not start or self.finished.acquire(timeout=HANG_SECONDS)
        self._clock.pass_by(1)
        return super().read_into(start, stop, out)

    def extracted(self, device: Device) -> Extracted:
        return extracted(device, self, lambda n: self.finished.release())


def slow_engine(clock: Clock, n_lookers: int = 1) -> Engine:
    """Every batch takes a second of the clock; the first begins when ``n_lookers`` threads have looked at it."""
    engine = keras_engine(small_network(), xla=False)

    def start(batch: np.ndarray) -> Any:
        clock.wait_for_lookers(n_lookers)
        clock.pass_by(1)
        return engine.start(batch)

    return replace(engine, start=start)


def test_a_slow_source_makes_the_device_wait(clock: Clock) -> None:
    device = device_for(small_network(), readers=1)
    lease = LateSlide(clock, 6 * BATCH).extracted(device).lease
    assert (lease.waited_seconds, lease.device_seconds) == (6, 6)


def test_a_slow_network_does_not_wait(clock: Clock) -> None:
    engine = slow_engine(clock)
    device = Device(lambda _: engine, PX, BATCH, readers=1)
    lease = extracted(device, Slide(tiles_of(10 * BATCH))).lease
    assert (lease.waited_seconds, lease.device_seconds) == (0, 10)


def test_time_is_counted_on_after_an_error(clock: Clock) -> None:
    model = small_network()
    engines = iter([failing(keras_engine(model, xla=False), partial(MemoryError, "none left"), after=1)])
    device = Device(lambda _: next(engines, keras_engine(model, xla=False)), PX, BATCH, readers=1)
    for broken_from in (None, 30):
        slide = Slide(tiles_of(40), broken_from=broken_from)
        with suppress(SlideError):
            extracted(device, slide)
    lease = LateSlide(clock, 6 * BATCH).extracted(device).lease
    assert (lease.waited_seconds, lease.device_seconds) == (12, 12)  # of batches of half the size


def test_all_time_on_the_device_belongs_to_a_lease() -> None:
    """From the first batch that is started to the last that is fetched, and no second of it twice."""
    began = time.perf_counter()
    engine, seen = keras_engine(small_network(), xla=False), list[float]()

    def noted(function: Callable[[Any], Any], value: Any) -> Any:
        seen.append(time.perf_counter())
        return function(value)

    noting = replace(engine, start=partial(noted, engine.start), fetch=partial(noted, engine.fetch))
    device = Device(lambda _: noting, PX, BATCH, readers=2)
    slides = [Slide(tiles_of(20), seconds=0.01) for _ in range(6)]
    with ThreadPoolExecutor(2) as threads:
        turns = [one.lease for one in threads.map(partial(extracted, device), slides)]
    spent = time.perf_counter() - began
    assert max(seen) - min(seen) <= sum(lease.device_seconds for lease in turns) <= spent
    assert all(lease.waited_seconds <= lease.device_seconds for lease in turns)


def test_another_slide_waits_in_line(clock: Clock) -> None:
    engine = slow_engine(clock, n_lookers=3)  # the first slide begins when the second waits; this thread looked, too
    device = Device(lambda _: engine, PX, BATCH, readers=2)
    with ThreadPoolExecutor(2) as threads:
        slides = [Slide(tiles_of(6 * BATCH)) for _ in range(2)]
        turns = [one.lease for one in threads.map(partial(extracted, device), slides)]
    assert sorted(lease.queued_seconds for lease in turns) == [0, 6]
    assert [lease.waited_seconds for lease in turns] == [0, 0]


# --- memory of the device ----------------------------------------------------------------------------------------

NARROW = """
import resource
import numpy as np
from test_feeding import PX, Slide, backend_name, device_for, extracted, keras, tiles_of

pixels = keras.Input((PX, PX, 3), dtype="uint8")
flat = keras.ops.reshape(keras.ops.cast(pixels, "float32"), (-1, 3 * PX * PX))
if backend_name() == "jax":  # which does without memory for what the others need it for
    wide = keras.ops.cumsum(keras.ops.reshape(keras.ops.tile(flat, (1, 1400)), (-1, 1400, 3 * PX * PX)), axis=1)
else:
    wide = keras.ops.matmul(keras.ops.reshape(flat, (-1, PX * PX, 3)), np.ones((3, 4096), np.float32))  # 9 MB a tile
model = keras.Model(pixels, keras.ops.max(wide, axis=1)[:, :16])
extracted(device_for(model, 4), Slide(tiles_of(4)))  # threads are there
device = device_for(model, 128)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))
first, second = extracted(device, Slide(tiles_of(40))), extracted(device, Slide(tiles_of(100)))
assert first.too_large[0] == 128 and first.batch_size == first.too_large[-1] // 2, first
assert second.batch_size == device.batch_size <= first.batch_size, second
assert device.asked == 128
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
expected = extracted(device_for(model, second.batch_size), Slide(tiles_of(100))).values
np.testing.assert_array_equal(second.values, expected)
print("halved to", second.batch_size)
"""


def test_where_memory_does_not_suffice_the_batch_is_halved(pytestconfig: pytest.Config) -> None:
    """A real error of the backend: the address space of the process ends."""
    tests = pytestconfig.rootpath / "tests"
    here = [str(tests), str(tests / "networks" / "inference")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {here!r}\n{NARROW}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] in [f"halved to {size}" for size in (64, 32, 16, 8, 4)]


def failing(engine: Engine, error: Callable[[], Exception], after: int) -> Engine:
    """The engine, whose device fails after a number of batches."""
    left = iter(range(after))

    def start(batch: np.ndarray) -> Any:
        if next(left, None) is None:
            raise error()
        return engine.start(batch)

    return replace(engine, start=start)


def test_a_single_tile_that_does_not_fit_ends_it() -> None:
    engine = failing(keras_engine(small_network(), xla=False), partial(MemoryError, "none left"), after=0)
    device = Device(lambda _: engine, PX, BATCH, readers=1)
    with pytest.raises(MachineError, match="no memory for a batch of one tile: none left") as caught:
        extracted(device, Slide(tiles_of(20)))
    assert "smaller [extract] backbone" in caught.value.remedy
    assert device.batch_size == 1


def test_a_slide_begun_with_the_larger_batch_is_begun_again() -> None:
    """One slide meets the end of memory, another waits in line with batches that are too large by then."""
    model = small_network()
    sizes = iter([failing(keras_engine(model, xla=False), partial(MemoryError, "none left"), after=0)])
    device = Device(lambda _: next(sizes, keras_engine(model, xla=False)), PX, BATCH, readers=2)
    with ThreadPoolExecutor(4) as threads:
        slides = [Slide(tiles_of(50, n), in_order=n % 2 == 0) for n in range(8)]
        found = list(threads.map(partial(extracted, device), slides))
    assert {one.batch_size for one in found} == {BATCH // 2}
    assert sorted(one.too_large for one in found) == 7 * [()] + [(BATCH,)]
    for n, one in enumerate(found):
        expected = one_by_one(model, tiles_of(50, n), BATCH // 2)
        np.testing.assert_allclose(one.values, expected, rtol=1e-5, atol=1e-6)


def test_a_lost_device_is_no_fault_of_a_slide() -> None:
    error = partial(RuntimeError, "CUDA error: an illegal memory access was encountered\nand much more")
    engine = failing(keras_engine(small_network(), xla=False), error, after=2)
    with pytest.raises(MachineError, match=r"device was lost on .*: CUDA error: an illegal memory access") as caught:
        extracted(Device(lambda _: engine, PX, BATCH, readers=1), Slide(tiles_of(40)))
    assert caught.value.exit_code == 4
    assert "run the same command again" in caught.value.remedy


def test_any_other_error_is_a_bug() -> None:
    engine = failing(keras_engine(small_network(), xla=False), partial(RuntimeError, "shapes differ"), after=2)
    with pytest.raises(RuntimeError, match="shapes differ"):
        extracted(Device(lambda _: engine, PX, BATCH, readers=1), Slide(tiles_of(40)))


# --- plans and records -------------------------------------------------------------------------------------------


def test_a_process_has_one_device_for_a_plan() -> None:
    plan = DevicePlan(small_network, PX, BATCH, threads=2)
    with ThreadPoolExecutor(4) as threads:
        devices = list(threads.map(device_of, [plan] * 8))
    assert len({id(device) for device in devices}) == 1


def test_the_record_says_what_bits_depend_on() -> None:
    record = compute_record()
    assert record["backend"] == backend_name()
    assert versions().items() <= record.items()
    assert record["device"] == "cpu"
    assert record["processor"]
    assert keras_engine(small_network(), xla=False).record["engine"] == "keras"


def spoilt_network() -> Any:
    raise ValueError("two layers\nand a half")


def test_a_network_whose_code_fails_is_the_fault_of_no_slide() -> None:
    with pytest.raises(InputError, match="cannot be built: ValueError: two layers") as caught:
        device_of(DevicePlan(spoilt_network, PX, BATCH))
    assert caught.value.offending[0].endswith("in spoilt_network")
    assert "test_feeding.py, line" in caught.value.offending[0]
