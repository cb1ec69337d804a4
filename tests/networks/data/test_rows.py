"""Rows of stores that need not fit in memory: their order, their batches, their moments, and what is refused."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores_of_rows import store

from hypoxia_hpc.config import Balance
from hypoxia_hpc.errors import InputError, NotReadyError, SlideError
from hypoxia_hpc.networks.data import rows, shuffling
from hypoxia_hpc.networks.data.batches import ShuffledRows, rows_in_order
from hypoxia_hpc.networks.data.rows import LabelledStore, Rows, TrainingData, opened_rows, require_trainable
from hypoxia_hpc.networks.data.shuffling import chunks_of, epoch_plan, part_of, rows_of
from hypoxia_hpc.networks.data.standardise import MEAN, SCALE, merge, moments_of, standard_arrays

BALANCES: tuple[Balance, ...] = ("sample", "weight", "none")
Cohort = list[tuple[int, int]]  # rows and label of each store
cohorts = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 1)), min_size=1, max_size=12)


@pytest.fixture(autouse=True, scope="module")
def small_windows() -> Iterator[None]:
    """Windows that a few hundred rows fill. Chunks stay those of the stores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffling, "WINDOW_ROWS", 300)
        patch.setattr(shuffling, "HELD_ROWS", 600)
        yield


def plan_of(cohort: Cohort, balance: Balance, batch_size: int, seed: int = 1, epoch: int = 0) -> shuffling.EpochPlan:
    counts, labels = (np.array(column, dtype=np.int64) for column in zip(*cohort, strict=True))
    return epoch_plan(counts, labels, balance, batch_size, seed=seed, epoch=epoch)


def used(plan: shuffling.EpochPlan) -> list[tuple[int, int]]:
    """(store, row) of everything that the windows hold and the orders use, whole batches or not."""
    found = []
    for number, stretches in enumerate(plan.windows):
        window = [(store, row) for store, start, stop in stretches.tolist() for row in range(start, stop)]
        found += [window[index] for index in plan.order(number).tolist()]
    return found


@given(cohorts, st.sampled_from(BALANCES), st.integers(2, 400))
@settings(max_examples=150)
def test_every_row_of_the_larger_class_comes_once_and_the_others_are_repeated_evenly(
    cohort: Cohort, balance: Balance, batch_size: int
) -> None:
    uses = Counter(used(plan_of(cohort, balance, batch_size)))
    counts, labels = zip(*cohort, strict=True)
    allowed = naive.most_and_least_uses(counts, labels, balance)
    every = {(store, row) for store, n in enumerate(counts) for row in range(n)}
    assert set(uses) == every
    for (number, _), times in uses.items():
        least, most = allowed[labels[number]]
        assert least <= times <= most
    if balance == "sample":
        totals = Counter(dict.fromkeys(labels, 0))
        for (number, _), times in uses.items():
            totals[labels[number]] += times
        assert len(set(totals.values())) == 1


@given(cohorts, st.sampled_from(BALANCES), st.integers(2, 400))
@settings(max_examples=100)
def test_windows_are_bounded_and_made_of_whole_batches(cohort: Cohort, balance: Balance, batch_size: int) -> None:
    plan = plan_of(cohort, balance, batch_size)
    sizes = [len(plan.order(number)) for number in range(len(plan.windows))]
    assert plan.batch_size == min(batch_size, sum(sizes))
    assert all(size % plan.batch_size == 0 for size in sizes[:-1])
    held = max(rows_of(window) for window in plan.windows)
    assert held <= (shuffling.HELD_ROWS if plan.is_held else max(shuffling.WINDOW_ROWS, 2 * plan.batch_size))
    assert sum(map(plan.n_batches, range(len(sizes)))) == sum(size // plan.batch_size for size in sizes)
    assert plan.is_held == (sum(n for n, _ in cohort) <= shuffling.HELD_ROWS)


def test_the_order_is_that_of_seed_and_epoch() -> None:
    cohort = [(500, 0), (300, 1), (250, 0)]
    first = used(plan_of(cohort, "sample", 50))
    assert first == used(plan_of(cohort, "sample", 50))
    assert first != used(plan_of(cohort, "sample", 50, seed=2))
    assert first != used(plan_of(cohort, "sample", 50, epoch=1))
    held = [(100, 0), (90, 1)]
    assert used(plan_of(held, "none", 50)) != used(plan_of(held, "none", 50, epoch=1))


def test_an_order_mixes_the_stores_and_the_classes() -> None:
    """Over ten windows of ten stores of one class each: a window has both classes alike, and many stores."""
    plan = plan_of([(3000, number % 2) for number in range(10)], "sample", 50)
    assert len(plan.windows) > 10
    for window in plan.windows[:-1]:
        sizes = window[:, 2] - window[:, 1]
        assert sizes[window[:, 0] % 2 == 0].sum() == sizes[window[:, 0] % 2 == 1].sum()
    firsts = [tuple(sorted(set(window[:, 0].tolist()))) for window in plan.windows]
    assert len(set(firsts)) > 5


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.data())
def test_a_part_of_stretches_is_that_part_of_their_rows(counts: list[int], data: st.DataObject) -> None:
    chunks = chunks_of(np.array(counts))
    every = [(store, row) for store, start, stop in chunks.tolist() for row in range(start, stop)]
    assert every == [(store, row) for store, n in enumerate(counts) for row in range(n)]
    start = data.draw(st.integers(0, len(every) - 1))
    stop = data.draw(st.integers(start + 1, len(every)))
    part = part_of(chunks, start, stop).tolist()
    assert [(store, row) for store, first, last in part for row in range(first, last)] == every[start:stop]


def opened(cohort: Cohort, folder: Path, dtype: str = "float16") -> TrainingData:
    random = np.random.default_rng(len(cohort))
    stores = [
        store(folder, f"s{number}", random.normal(3, 1, (n, 3)).astype(dtype), label)
        for number, (n, label) in enumerate(cohort)
    ]
    return TrainingData(tuple(stores), (), 3)


def values_of(rows: Rows) -> list[np.ndarray]:
    return [rows.read(number, 0, int(n)) for number, n in enumerate(rows.counts)]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("cohort", [[(700, 0), (90, 1), (300, 1)], [(200, 0), (30, 1), (1, 1)]])
def test_batches_are_those_of_the_slow_twin_from_any_step_on(
    tmp_path: Path, cohort: Cohort, balance: Balance, dtype: str
) -> None:
    with opened_rows(opened(cohort, tmp_path, dtype)) as (train, _):
        shuffled = ShuffledRows(train, balance, 47, seed=5, epochs=3)
        for epoch in range(3):
            expected = naive.batches_of(shuffled.plan(epoch), values_of(train), train.labels.tolist())
            found = list(shuffled.batches(epoch, 0))
            assert len(found) == len(expected) > 2
            for batch, pairs in zip(found, expected, strict=True):
                assert batch.values.dtype == dtype
                np.testing.assert_array_equal(batch.values, [row for row, _ in pairs])
                np.testing.assert_array_equal(batch.labels, [label for _, label in pairs])
            for first in range(len(found) + 1):
                rest = list(ShuffledRows(train, balance, 47, seed=5, epochs=3).batches(epoch, first))
                assert len(rest) == len(found) - first
                for batch, before in zip(rest, found[first:], strict=True):
                    np.testing.assert_array_equal(batch.values, before.values)
                    np.testing.assert_array_equal(batch.labels, before.labels)


def test_batches_that_are_left_off_and_begun_again_are_the_same(tmp_path: Path) -> None:
    """A generator closed in the middle of a window leaves threads reading into a buffer that the next one uses."""
    with opened_rows(opened([(900, 0), (800, 1)], tmp_path)) as (train, _):
        whole = [batch.values for batch in ShuffledRows(train, "sample", 40, seed=5, epochs=2).batches(0, 0)]
        shuffled = ShuffledRows(train, "sample", 40, seed=5, epochs=2)
        for first in (30, 3, 17, 0, 8):
            batches = shuffled.batches(0, first)
            np.testing.assert_array_equal(next(batches).values, whole[first])
            batches.close()


def test_rows_in_order_are_all_rows_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypoxia_hpc.networks.data.batches.IN_ORDER_ROWS", 100)
    with opened_rows(opened([(250, 0), (1, 1), (149, 1)], tmp_path)) as (train, valid):
        batches = [(batch.values.copy(), batch.labels) for batch in rows_in_order(train)]
        assert [len(values) for values, _ in batches] == [100, 100, 100, 100]
        np.testing.assert_array_equal(
            np.concatenate([values for values, _ in batches]), np.concatenate(values_of(train))
        )
        assert np.concatenate([labels for _, labels in batches]).tolist() == [0] * 250 + [1] * 150
        assert list(rows_in_order(valid)) == []


# --- mean and spread ---------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=16), min_size=1, max_size=20), min_size=1, max_size=6))
def test_merged_moments_are_those_of_all_rows(parts: list[list[float]]) -> None:
    merged = moments_of(np.array(parts[0], dtype=np.float16)[:, None])
    for part in parts[1:]:
        merged = merge(merged, moments_of(np.array(part, dtype=np.float16)[:, None]))
    every = [value for part in parts for value in part]
    mean, deviation = naive.mean_and_deviation(np.array(every, dtype=np.float16))
    assert merged.n == len(every)
    np.testing.assert_allclose(merged.mean[0], mean, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(merged.m2[0] / merged.n), deviation, rtol=1e-9, atol=1e-9)


def test_mean_and_scale_are_sound_where_the_mean_is_large(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = (3e4 + random.normal(0, 1, (3000, 2))).astype(np.float32)
    values[:, 1] = 0.1  # never changes
    parts = np.split(values, [700, 701, 2000])
    stores = tuple(store(tmp_path, f"s{number}", part, number % 2) for number, part in enumerate(parts))
    with opened_rows(TrainingData(stores, (), 2)) as (train, valid):
        standard = standard_arrays(train, valid)
    mean, deviation = naive.mean_and_deviation(values[:, 0])
    assert standard[MEAN].tolist() == [np.float32(mean), np.float32(0.1)]
    np.testing.assert_allclose(standard[SCALE][0], deviation, rtol=1e-7)
    assert standard[SCALE][1] == 1.0


@pytest.mark.parametrize(("readers", "ahead"), [(1, 1), (2, 3), (7, 50)])
def test_mean_and_scale_have_the_same_bits_however_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: int, ahead: int
) -> None:
    data = opened([(1000, 0), (777, 1), (3, 0)], tmp_path)
    with opened_rows(data) as (train, valid):
        expected = standard_arrays(train, valid)
    monkeypatch.setattr(rows, "ROW_READERS", readers)
    monkeypatch.setattr(rows, "AHEAD", ahead)
    with opened_rows(data) as (train, valid):
        found = standard_arrays(train, valid)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


# --- what is refused ---------------------------------------------------------------------------------------------


def test_every_store_with_nan_or_infinite_features_is_named(tmp_path: Path) -> None:
    values = np.ones((300, 2), dtype=np.float16)
    folder = tmp_path / "features" / "vgg16"
    stores = []
    for number, bad in zip((4, 3, 2, 1, 0), [None, np.nan, None, np.inf, -np.inf], strict=True):
        own = values.copy()
        own[299, 1] = 1 if bad is None else bad
        stores.append(store(folder, f"s{number}", own, number % 2))
    with (
        opened_rows(TrainingData(tuple(stores[:3]), tuple(stores[3:]), 2)) as (train, valid),
        pytest.raises(InputError, match="3 feature stores hold NaN") as caught,
    ):
        standard_arrays(train, valid)
    assert caught.value.offending == tuple(f"features/vgg16/s{number}.zarr" for number in (0, 1, 3))
    assert f"delete these folders below {folder}, then run extract" in caught.value.remedy


def test_every_store_of_other_features_is_named_with_what_differs(tmp_path: Path) -> None:
    folder = tmp_path / "features" / "vgg16"
    same = np.ones((5, 4), dtype=np.float16)
    stores = [store(folder, f"s{number}", same, number % 2) for number in range(3)]
    stores.append(store(folder, "long", np.ones((5, 5), dtype=np.float16), 0))
    stores.append(store(folder, "wide", same.astype(np.float32), 0))
    stores.append(store(folder, "other", same, 1, spec={"backbone": "resnet50", "precision": "float32"}))
    stores.append(store(folder, "cut", same, 1, tile_spec={"tile_px": 224}))
    stores.append(LabelledStore(stores[0].path, 6, 0, "told otherwise"))
    with pytest.raises(InputError) as caught, opened_rows(TrainingData(tuple(stores[:4]), tuple(stores[4:]), 4)):
        pass
    assert list(caught.value.offending) == [
        "features/vgg16/cut.zarr: tile_spec.tile_px is 224, not 299",
        "features/vgg16/long.zarr: feature_length is 5, not 4",
        'features/vgg16/other.zarr: spec.backbone is "resnet50", not "vgg16"',
        "features/vgg16/s0.zarr: rows is 5, not 6",
        'features/vgg16/wide.zarr: dtype is "float32", not "float16"',
    ]
    assert caught.value.remedy == f"delete these folders below {folder}, then run extract again"


def test_every_damaged_store_is_named(tmp_path: Path) -> None:
    stores = [store(tmp_path, f"s{number}", np.ones((5, 4), np.float16), number % 2) for number in range(4)]
    (stores[1].path / "zarr.json").unlink()
    shard = stores[3].path / "features" / "c.0.0"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(NotReadyError, match="2 feature stores are damaged") as caught:  # noqa: SIM117 - what is entered fails
        with opened_rows(TrainingData(tuple(stores[:2]), tuple(stores[2:]), 4)):
            pass
    assert [name for name in ("s0", "s1", "s2", "s3") if any(name in one for one in caught.value.offending)] == [
        "s1",
        "s3",
    ]


def test_damage_that_comes_later_is_an_error_of_the_batch(tmp_path: Path) -> None:
    data = opened([(400, 0), (400, 1)], tmp_path)
    shard = data.train[1].path / "features" / "c.0.0"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    with opened_rows(data) as (train, valid):
        with pytest.raises(SlideError, match="checksum of chunk 0"):
            list(ShuffledRows(train, "sample", 40, seed=5, epochs=1).batches(0, 0))
        with pytest.raises(SlideError, match="checksum of chunk 0"):
            standard_arrays(train, valid)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(tmp_path: Path, label: int) -> None:
    with (
        opened_rows(opened([(5, label), (6, label)], tmp_path)) as (train, _),
        pytest.raises(InputError, match=f"lack a class: {2 * (1 - label)} normoxic, {2 * label} hypoxic"),
    ):
        require_trainable(train)


def test_threads_that_read_end_with_the_rows(tmp_path: Path) -> None:
    with opened_rows(opened([(900, 0), (800, 1)], tmp_path)) as (train, _):
        next(ShuffledRows(train, "sample", 40, seed=5, epochs=2).batches(0, 0))
        assert isinstance(train._pool, ThreadPoolExecutor)
    with pytest.raises(RuntimeError, match="after shutdown"):
        train._pool.submit(print)
