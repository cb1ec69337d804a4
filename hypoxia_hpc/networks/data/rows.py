"""Rows of many feature stores, which need not fit in memory: checked when they are opened, read ahead in threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import InputError, SlideError, damaged_stores
from hypoxia_hpc.networks.data.classes import class_weights
from hypoxia_hpc.networks.data.shuffling import chunks_of
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import AnyArray, Float32Array, Int64Array, Json, Label
from hypoxia_hpc.stores.features import FeatureRows

# Reading, checksums and NumPy release the interpreter lock; more threads than cores hide the latency of the disk.
ROW_READERS = 4
AHEAD = 8 * ROW_READERS
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LabelledStore:
    """The feature store at ``path``: ``n`` tiles of a patient, all with the patient's label."""

    path: Path
    n: int
    label: Label
    patient_id: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Stores of training and of validation patients, each in a fixed order; vectors have ``feature_length`` values, and
    labels are those of ``outcome``."""

    train: tuple[LabelledStore, ...]
    valid: tuple[LabelledStore, ...]
    feature_length: int
    outcome: Outcome = BINARY


def first_rows(store: LabelledStore, most: int) -> Float32Array:
    """The first rows of a store, ``most`` or fewer, float32 (n, feature_length). Raises SlideError (damaged-store)."""
    reader = FeatureRows(store.path)
    rows = np.empty((min(store.n, most), reader.feature_length), dtype=reader.dtype)
    reader.read_into(0, len(rows), rows)
    return rows.astype(np.float32)


class Rows:
    """Open feature stores as one table of rows, float16 or float32 (n, feature_length), each store with a label of
    ``outcome``: int64 (n,) of a class, float64 (n,) of a score, float64 (n, 2) of time and event.

    Reading raises SlideError (damaged-store), MachineError.
    """

    def __init__(
        self, stores: Sequence[LabelledStore], readers: Sequence[FeatureRows], pool: Executor, outcome: Outcome = BINARY
    ) -> None:
        self.outcome = outcome
        self.stores = tuple(stores)
        self.counts = np.array([store.n for store in stores], dtype=np.int64)
        self.labels: AnyArray = np.array([store.label for store in stores])
        self.readers = tuple(readers)
        self._pool = pool

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def feature_length(self) -> int:
        """Values of a row."""
        return self.readers[0].feature_length

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values as stored: float16 or float32."""
        return self.readers[0].dtype

    def empty(self, n_rows: int) -> NDArray[Any]:
        """A buffer for ``n`` rows."""
        return np.empty((n_rows, self.feature_length), dtype=self.dtype)

    def read(self, store: int, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` of a store by its number."""
        values = self.empty(stop - start)
        self.readers[store].read_into(start, stop, values)
        return values

    def labels_of(self, stretches: Int64Array) -> AnyArray:
        """The label of every row of stretches, int64 (k, 3)."""
        labels: AnyArray = np.repeat(self.labels[stretches[:, 0]], stretches[:, 2] - stretches[:, 1], axis=0)
        return labels

    def start_reading(self, stretches: Int64Array, out: NDArray[Any]) -> list[Future[None]]:
        """Have threads read the rows of stretches into ``out``, one behind the other; wait for all of these."""
        ends = np.cumsum(stretches[:, 2] - stretches[:, 1]).tolist()
        return [
            self._pool.submit(self.readers[store].read_into, start, stop, out[end - (stop - start) : end])
            for (store, start, stop), end in zip(stretches.tolist(), ends, strict=True)
        ]

    def each_chunk(self, use: Callable[[int, NDArray[Any]], Result]) -> Iterator[tuple[int, Result]]:
        """``use(store, rows)`` on every chunk, in threads; the store's number and the result, in the order of the rows.

        The chunks are those of the stores, so what is summed up in this order depends on no thread and no window.
        """

        def work(store: int, start: int, stop: int) -> Result:
            return use(store, self.read(store, start, stop))

        chunks = chunks_of(self.counts).tolist()
        for first in range(0, len(chunks), AHEAD):
            part = chunks[first : first + AHEAD]
            for (store, _, _), result in zip(part, self._pool.map(work, *zip(*part, strict=True)), strict=True):
                yield store, result


@contextmanager
def opened_rows(data: TrainingData) -> Iterator[tuple[Rows, Rows]]:
    """The rows of training and of validation patients, every store opened and checked except for its values.

    Raises:
        NotReadyError: damaged stores, all of them named.
        InputError: stores whose features are of another kind than most, all of them named.
    """
    stores = (*data.train, *data.valid)
    readers = _opened(stores)
    _refuse_mixed(stores, readers, data.feature_length)
    n_train = len(data.train)
    with ThreadPoolExecutor(ROW_READERS, "read") as pool:
        both = ((data.train, readers[:n_train]), (data.valid, readers[n_train:]))
        train, valid = (Rows(stores, opened, pool, data.outcome) for stores, opened in both)
        yield train, valid


def below_run(path: Path) -> str:
    """``features/NAME/<slide_id>.zarr``: tile stores have the same folder names."""
    return path.relative_to(path.parents[2]).as_posix()


def require_trainable(train: Rows) -> None:
    """Raises InputError where no model can be trained on the labels of these rows: two classes of which one is
    missing, say."""
    why_not = train.outcome.untrainable([store.label for store in train.stores])
    if why_not:
        raise InputError(
            f"slides of the training patients {why_not}",
            remedy="add patients with the labels that are missing, or bring back their quarantined slides",
        )


def row_weights(rows: Rows) -> Float32Array:
    """The weight of a row of each class, float32 (k,): equal totals for every class, 1 on average."""
    n_classes = len(rows.outcome.table.classes)
    counts = np.array([rows.counts[rows.labels == label].sum() for label in range(n_classes)])
    return class_weights(counts).astype(np.float32)


def _opened(stores: Sequence[LabelledStore]) -> list[FeatureRows]:
    readers, damaged = [], []
    for store in stores:
        try:
            readers.append(FeatureRows(store.path))
        except SlideError as error:
            damaged.append(error.problem)
    if damaged:
        raise damaged_stores(
            "feature",
            damaged,
            "delete these folders, then run the same command again",
        )
    return readers


def _refuse_mixed(stores: Sequence[LabelledStore], readers: Sequence[FeatureRows], feature_length: int) -> None:
    """Raises InputError naming every store whose features were made in another way than most."""
    made_as = [_made_as(reader) for reader in readers]
    common = {
        name: Counter(canonical_json(one.get(name)) for one in made_as).most_common(1)[0][0]
        for name in sorted({name for one in made_as for name in one})
    }
    common["feature_length"] = canonical_json(feature_length)
    wrong = []
    for store, reader, one in zip(stores, readers, made_as, strict=True):
        others = {**common, "rows": canonical_json(store.n)}
        mine = {name: canonical_json({**one, "rows": reader.n}.get(name)) for name in others}
        wrong += [
            f"{below_run(store.path)}: {name} is {mine[name]}, not {others[name]}"
            for name in others
            if mine[name] != others[name]
        ]
    if wrong:
        raise InputError(
            "these features are not of the same kind as the others",
            offending=sorted(wrong),
            remedy=f"delete these folders below {stores[0].path.parent}, then run extract again",
        )


def _made_as(reader: FeatureRows) -> Json:
    entries: Json = {"dtype": reader.dtype.name, "feature_length": reader.feature_length}
    for table in ("spec", "tile_spec"):
        held = reader.attributes.get(table)
        entries |= {f"{table}.{name}": value for name, value in held.items()} if isinstance(held, dict) else {}
    return entries
