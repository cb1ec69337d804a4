"""Tiles in random order: each once, classes balanced, a function of seed and epoch, begun anywhere."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from hypoxia_hpc.config import Balance
from hypoxia_hpc.networks.data import tile_stream
from hypoxia_hpc.networks.data.tile_stream import RUN_TILES, TileSource, TileStream, epoch_runs, one_after_another

PX = 2
SIZES = ((23, 0), (8, 1), (1, 0), (40, 0), (17, 1))


def sources(reads: list[tuple[int, int, int]] | None = None) -> list[TileSource]:
    """Sources whose tiles tell where they come from: source, number, label."""

    def source_of(index: int, n: int, label: int) -> TileSource:
        def read(start: int, stop: int) -> np.ndarray:
            if reads is not None:
                reads.append((index, start, stop))
            tiles = np.zeros((stop - start, PX, PX, 3), dtype=np.uint8)
            tiles[..., 0], tiles[..., 2] = index, label
            tiles[..., 1] = np.arange(start, stop)[:, None, None]
            return tiles

        return TileSource(read, n, label)

    return [source_of(index, n, label) for index, (n, label) in enumerate(SIZES)]


def stream(balance: Balance = "none", batch_size: int = 10, seed: int = 1) -> TileStream:
    return TileStream(sources(), PX, balance=balance, batch_size=batch_size, seed=seed)


def told(batches: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[int, int]]:
    """(source, number) of every tile, after a look at its label."""
    pixels = np.concatenate([pixels for pixels, _ in batches])[:, 0, 0]
    assert np.array_equal(pixels[:, 2], np.concatenate([labels for _, labels in batches]))
    return [(int(index), int(number)) for index, number, _ in pixels]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_stream, "WINDOW_RUNS", 3)


@pytest.mark.parametrize("balance", ["none", "weight"])
def test_every_tile_once_in_an_epoch(balance: Balance) -> None:
    one = stream(balance, batch_size=1)
    every = Counter(told(list(one.batches(0, 0))))
    assert every == Counter((index, number) for index, (n, _) in enumerate(SIZES) for number in range(n))
    assert one.steps_per_epoch == 89


def test_sampled_the_smaller_class_comes_as_often_and_evenly() -> None:
    one = stream("sample", batch_size=1)
    every = Counter(told(list(one.batches(0, 0))))
    large = {key: times for key, times in every.items() if SIZES[key[0]][1] == 0}
    small = {key: times for key, times in every.items() if SIZES[key[0]][1] == 1}
    assert (sum(large.values()), set(large.values())) == (64, {1})
    assert (sum(small.values()), len(small), set(small.values())) == (64, 25, {2, 3})


def test_batches_are_whole_and_mixed() -> None:
    batches = list(stream(batch_size=10).batches(0, 0))
    assert [len(labels) for _, labels in batches] == [10] * 8
    assert {0, 1} <= set(batches[0][1].tolist())
    assert [number for _, number in told(batches)][:8] != sorted(number for _, number in told(batches))[:8]


def test_fewer_tiles_than_a_batch_make_one_batch() -> None:
    one = stream(batch_size=1000)
    assert (one.batch_size, one.steps_per_epoch) == (89, 1)
    assert len(told(list(one.batches(0, 0)))) == 89


@pytest.mark.parametrize("balance", ["none", "sample"])
@pytest.mark.parametrize("batch_size", [1, 7, 30, 64])
def test_begun_in_the_middle_it_goes_on_as_it_would_have(balance: Balance, batch_size: int) -> None:
    one = stream(balance, batch_size)
    whole = list(one.batches(2, 0))
    for first in range(one.steps_per_epoch + 1):
        rest = list(stream(balance, batch_size).batches(2, first))
        assert len(rest) == len(whole) - first
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(rest, whole[first:], strict=True))


def test_another_epoch_or_seed_is_another_order() -> None:
    orders = [told(list(stream(seed=seed).batches(epoch, 0))) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert len({tuple(order) for order in orders}) == 3


def test_a_store_is_read_in_runs_as_they_lie() -> None:
    reads: list[tuple[int, int, int]] = []
    list(TileStream(sources(reads), PX, balance="none", batch_size=10, seed=0).batches(0, 0))
    assert all(start % RUN_TILES == 0 and stop - start <= RUN_TILES for _, start, stop in reads)
    assert len(set(reads)) == len(reads)


def test_what_a_read_raises_comes_out_and_no_thread_stays() -> None:
    def fail(_start: int, _stop: int) -> np.ndarray:
        raise OSError("gone")

    broken = [TileSource(fail, 5, 0), *sources()]
    with pytest.raises(OSError, match="gone"):
        list(TileStream(broken, PX, balance="none", batch_size=4, seed=0).batches(0, 0))
    begun = stream().batches(0, 0)
    next(begun)
    begun.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-tiles")]


def test_runs_of_one_class_alone_are_an_epoch_where_nothing_is_balanced() -> None:
    runs = epoch_runs(sources()[:1], "none", np.random.default_rng(0))
    assert sorted(map(tuple, runs.tolist())) == [(0, 0, 8), (0, 8, 16), (0, 16, 23)]


def test_sources_one_after_another_are_one() -> None:
    every = one_after_another(sources())
    n_tiles = sum(n for n, _ in SIZES)
    whole = every(0, n_tiles)
    assert told([(whole, np.repeat([label for _, label in SIZES], [n for n, _ in SIZES]))]) == [
        (index, number) for index, (n, _) in enumerate(SIZES) for number in range(n)
    ]
    for start, stop in ((0, 1), (22, 24), (23, 31), (30, 33), (20, n_tiles)):
        assert np.array_equal(every(start, stop), whole[start:stop])
