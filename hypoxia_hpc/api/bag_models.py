"""What estimators of every kind of outcome share: bags are checked, stored, trained on and predicted.

Training is that of the command line, from the same code: the bags are written to a temporary folder as feature stores,
which is what it reads.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.api.bags import Bags, checked_bags, checked_values, one_length, stored_bags
from hypoxia_hpc.config import parse_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import HeadTable, head_outputs, train_head
from hypoxia_hpc.networks.heads.result import Arrays, TileOutputs
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.records import Float64Array, Label

Labelled = tuple[Bags, Sequence[Label]]


class BagModel:
    """A head with its parameters; subclasses are dataclasses whose fields are these."""

    head: ClassVar[str]
    history_: Mapping[str, Sequence[float]]
    _outcome: Outcome
    _table: HeadTable
    _arrays: Arrays
    _n_features: int
    _outputs: TileOutputs | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name. ``deep`` is there for scikit-learn: no parameter is an estimator."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def set_params(self, **params: Any) -> Self:
        """Change parameters; takes effect with the next ``fit``. Raises InputError naming those that are not known."""
        unknown = sorted(params.keys() - self.get_params().keys())
        if unknown:
            raise InputError(
                f"{type(self).__name__} has no parameter {', '.join(unknown)}",
                remedy=f"choose from: {', '.join(self.get_params())}",
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` was called."""
        return hasattr(self, "_arrays")

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and joblib: the network itself is built again from its arrays."""
        return {**self.__dict__, "_outputs": None}

    def _fit(self, outcome: Outcome, train: Labelled, valid: Labelled | None) -> None:
        """Train on bags and their labels, which are of the outcome. Raises as `train_head`, and InputError for bags
        that are none."""
        table = self._checked_table()
        sets = [(checked_bags(*train, "bags"), train[1])]
        if valid is not None:
            sets.append((checked_bags(*valid, "validation bags"), valid[1]))
        dtype = np.result_type(*(bag.dtype for values, _ in sets for bag in values))
        n_features = one_length([bag for values, _ in sets for bag in values])
        with tempfile.TemporaryDirectory(prefix="hypoxia_hpc-") as folder:
            named = zip(("train", "valid"), sets, strict=False)
            stores = [stored_bags(Path(folder) / "features" / name, *one, dtype) for name, one in named]
            trained = train_head(
                table,
                TrainingData(stores[0], stores[1] if len(stores) > 1 else (), n_features, outcome),
                seed=self.get_params().get("seed", 0),
                checkpoints=Checkpoints(Path(folder) / "checkpoint", "", math.inf),
                on_epoch=lambda logs: None,
                stop=threading.Event(),
            )
        self._outcome, self._table, self._n_features = outcome, table, n_features
        self._arrays, self.history_, self._outputs = trained.arrays, trained.history, None

    def _said(self, bags: Bags) -> Float64Array:
        """What the model says of bags, float64 (n, k). Raises InputError for bags that are none."""
        outputs = self._fitted()
        values = checked_values(bags, "bags")
        if values and one_length(values) != self._n_features:
            raise InputError(
                f"bags have {values[0].shape[1]} features, the model was trained on {self._n_features}",
                remedy="extract them with the same network",
            )
        parts = [
            pd.DataFrame(outputs(bag.astype(np.float32))).assign(slide_id=number, patient_id=number)
            for number, bag in enumerate(values)
        ]
        names, link = list(self._outcome.outputs), self._outcome.link
        if not parts:
            return np.empty((0, len(names)))
        return pool_tiles(pd.concat(parts, ignore_index=True), "patient", names, link)[names].to_numpy()

    def _checked_table(self) -> HeadTable:
        settings = {name: value for name, value in self.get_params().items() if name != "seed"}
        config = parse_config({"train": {self.head: settings}}, source=type(self).__name__)
        table: HeadTable = getattr(config.train, self.head)
        return table

    def _fitted(self) -> TileOutputs:
        if not self.__sklearn_is_fitted__():
            raise InputError(f"this {type(self).__name__} is not trained", remedy="call fit first")
        if self._outputs is None:
            self._outputs = head_outputs(self._table, self._arrays, self._n_features, self._outcome)
        return self._outputs
