"""The models of ``hypoxia-hpc train`` in the manner of scikit-learn: bags of tiles in, probabilities of patients out.

A bag is all tiles of one patient, a row each. Training is that of the command line, from the same code: the bags are
written to a temporary folder as feature stores, which is what it reads.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hypoxia_hpc.analysis.pooling import pool_tiles
from hypoxia_hpc.api.bags import Bags, checked_bags, checked_values, one_length, stored_bags, two_classes
from hypoxia_hpc.config import AttentionTable, Balance, FunnelTable, LogisticTable, TanhTable, parse_config
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.data.rows import TrainingData
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import HeadTable, head_outputs, train_head
from hypoxia_hpc.networks.heads.result import Arrays, TileOutputs
from hypoxia_hpc.records import Float64Array

if TYPE_CHECKING:
    from sklearn.utils import Tags

TANH, FUNNEL, LOGISTIC, ATTENTION = TanhTable(), FunnelTable(), LogisticTable(), AttentionTable()


class BagClassifier:
    """What the four models share. Each is a dataclass whose fields are its parameters.

    Attributes:
        classes_: (2,) the two labels in sorted order, after ``fit``.
        history_: Numbers per epoch by name ("loss", "accuracy", "valid_loss", "valid_accuracy"), after ``fit``.
    """

    head: ClassVar[str]
    classes_: NDArray[Any]
    history_: Mapping[str, Sequence[float]]
    _table: HeadTable
    _arrays: Arrays
    _n_features: int
    _outputs: TileOutputs | None = None

    def fit(self, bags: Bags, y: ArrayLike, *, validation: tuple[Bags, ArrayLike] | None = None) -> Self:
        """Train on bags.

        Args:
            bags: n arrays, float (n_tiles, d), one a patient; d is the same in all, n_tiles 1 or more. float16 stays
                float16 where all are; anything else is taken as float32.
            y: (n,) labels of exactly two values, of any type that sorts; the larger one is class 1.
            validation: Other bags and their labels. They end the training early where ``patience`` says so, and are
                used for nothing else. Without them all epochs are trained.

        Returns:
            The model itself.

        Raises:
            InputError: Bags or labels of another form, a parameter outside its range, or a training whose loss or
                probabilities are no numbers.
            MachineError: Keras has no backend, or the disk is full.
        """
        table = self._checked_table()
        labels = np.asarray(y)
        self.classes_ = two_classes(labels)
        sets = [checked_bags(bags, labels, self.classes_, "bags")]
        if validation is not None:
            sets.append(checked_bags(validation[0], np.asarray(validation[1]), self.classes_, "validation bags"))
        dtype = np.result_type(*(bag.dtype for values, _ in sets for bag in values))
        self._n_features = one_length([bag for values, _ in sets for bag in values])
        with tempfile.TemporaryDirectory(prefix="hypoxia_hpc-") as folder:
            named = zip(("train", "valid"), sets, strict=False)
            stores = [stored_bags(Path(folder) / "features" / name, *one, dtype) for name, one in named]
            trained = train_head(
                table,
                TrainingData(stores[0], stores[1] if validation is not None else (), self._n_features),
                seed=self.get_params().get("seed", 0),
                checkpoints=Checkpoints(Path(folder) / "checkpoint", "", math.inf),
                on_epoch=lambda logs: None,
                stop=threading.Event(),
            )
        self._table, self._arrays, self.history_ = table, trained.arrays, trained.history
        self._outputs = None
        return self

    def predict_proba(self, bags: Bags) -> Float64Array:
        """Probabilities of both classes.

        Args:
            bags: n arrays, float (n_tiles, d), d as in training, n_tiles 1 or more.

        Returns:
            float64 (n, 2) in the order of ``classes_``; rows sum to 1.

        Raises:
            InputError: Bags of another form, or the model is not trained.
        """
        values = checked_values(bags, "bags")
        outputs = self._fitted()
        if values and one_length(values) != self._n_features:
            raise InputError(
                f"bags have {values[0].shape[1]} features, the model was trained on {self._n_features}",
                remedy="extract them with the same network",
            )
        parts = [
            pd.DataFrame(outputs(bag.astype(np.float32))).assign(slide_id=number, patient_id=number)
            for number, bag in enumerate(values)
        ]
        if not parts:
            return np.empty((0, 2))
        pooled = pool_tiles(pd.concat(parts, ignore_index=True), "patient")["probability"].to_numpy()
        return np.stack([1 - pooled, pooled], axis=1)

    def predict(self, bags: Bags) -> NDArray[Any]:
        """The likelier class of each bag, (n,): class 1 where its probability is above 0.5. Raises as predict_proba."""
        called = self.predict_proba(bags)[:, 1] > 0.5
        return self.classes_[called.astype(np.int64)]

    def score(self, bags: Bags, y: ArrayLike) -> float:
        """Accuracy, 0 to 1, the share of bags whose class is predicted. Raises as predict_proba."""
        return float((self.predict(bags) == np.asarray(y)).mean())

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

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn asks of an estimator: this is a classifier that needs labels of two classes."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_class=False),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` was called."""
        return hasattr(self, "_arrays")

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and joblib: the network itself is built again from its arrays."""
        return {**self.__dict__, "_outputs": None}

    def _checked_table(self) -> HeadTable:
        settings = {name: value for name, value in self.get_params().items() if name != "seed"}
        config = parse_config({"train": {self.head: settings}}, source=type(self).__name__)
        table: HeadTable = getattr(config.train, self.head)
        return table

    def _fitted(self) -> TileOutputs:
        if not self.__sklearn_is_fitted__():
            raise InputError(f"this {type(self).__name__} is not trained", remedy="call fit first")
        if self._outputs is None:
            self._outputs = head_outputs(self._table, self._arrays, self._n_features)
        return self._outputs


@dataclass(eq=False)
class AttentionMIL(BagClassifier):
    """Gated-attention multiple-instance learning (Ilse et al. 2018): the network learns which tiles count.

    Args:
        units: Width of a tile's embedding, 1 to 65,536.
        attention_units: Width of the gated attention, 1 to 65,536.
        dropout: Share of units that are dropped in training, 0 to below 1.
        learning_rate: Of AdamW, above 0.
        weight_decay: Of AdamW, 0 or more.
        epochs: Most passes over the bags, 1 or more.
        batch_size: Bags in a step, 1 to 4,096.
        bag_tiles: Tiles of a bag in a step, 2 or more, drawn anew each time. All tiles are used to predict.
        balance: "sample" draws the smaller class as often as the larger, "weight" weighs its loss, "none" neither.
        patience: Epochs without a lower validation loss after which training ends; the best weights are kept.
        seed: Seed of the weights, the order and dropout. Equal seeds give equal bits on one machine.

    Example:
        >>> model = hx.AttentionMIL(epochs=20, seed=1).fit(bags, y, validation=(other_bags, other_y))
        >>> model.predict_proba(bags)[:, 1]
    """

    head: ClassVar[str] = "attention"
    units: int = ATTENTION.units
    attention_units: int = ATTENTION.attention_units
    dropout: float = ATTENTION.dropout
    learning_rate: float = ATTENTION.learning_rate
    weight_decay: float = ATTENTION.weight_decay
    epochs: int = ATTENTION.epochs
    batch_size: int = ATTENTION.batch_size
    bag_tiles: int = ATTENTION.bag_tiles
    balance: Balance = ATTENTION.balance
    patience: int = ATTENTION.patience
    seed: int = 0


@dataclass(eq=False)
class LogisticTop(BagClassifier):
    """Logistic regression on standardised features of tiles, with balanced classes; a bag has the mean of its tiles.

    Args:
        c: Inverse strength of the L2 penalty, above 0.
        max_iter: Most iterations of L-BFGS, 1 or more.

    Example:
        >>> hx.LogisticTop(c=0.1).fit(bags, y).predict(bags)
    """

    head: ClassVar[str] = "logistic"
    c: float = LOGISTIC.c
    max_iter: int = LOGISTIC.max_iter


@dataclass(eq=False)
class TanhMLP(BagClassifier):
    """The hypoxia study's top model: one hidden layer with tanh, softmax; a bag has the mean of its tiles.

    Args:
        units: Width of the hidden layer, 1 to 65,536.
        dropout: Share of units that are dropped in training, 0 to below 1.
        learning_rate: Of SGD, above 0.
        momentum: Of SGD, 0 to below 1.
        epochs: Most passes over the tiles, 1 or more.
        batch_size: Tiles in a step, 2 or more.
        balance: As in :class:`AttentionMIL`, by tiles.
        patience: As in :class:`AttentionMIL`. Default: None, train all epochs.
        seed: Seed of the weights, the order and dropout.

    Example:
        >>> hx.TanhMLP(units=64, epochs=5).fit(bags, y).predict_proba(bags)
    """

    head: ClassVar[str] = "tanh"
    units: int = TANH.units
    dropout: float = TANH.dropout
    learning_rate: float = TANH.learning_rate
    momentum: float = TANH.momentum
    epochs: int = TANH.epochs
    batch_size: int = TANH.batch_size
    balance: Balance = TANH.balance
    patience: int | None = TANH.patience
    seed: int = 0


@dataclass(eq=False)
class FunnelMLP(BagClassifier):
    """The hypoxia study's deeper top model: layers that become narrower, ReLU, one sigmoid; a bag has the mean of its
    tiles.

    Args:
        units: Widths of the hidden layers, each 1 to 65,536.
        dropout: Share of units that are dropped in training, 0 to below 1.
        learning_rate: Of SGD, above 0.
        momentum: Of SGD (Nesterov), 0 to below 1.
        epochs: Most passes over the tiles, 1 or more.
        batch_size: Tiles in a step, 2 or more.
        balance: As in :class:`AttentionMIL`, by tiles.
        patience: As in :class:`AttentionMIL`. Default: None, train all epochs.
        seed: Seed of the weights, the order and dropout.

    Example:
        >>> hx.FunnelMLP(units=(64, 16), epochs=5).fit(bags, y).score(bags, y)
    """

    head: ClassVar[str] = "funnel"
    units: tuple[int, ...] = FUNNEL.units
    dropout: float = FUNNEL.dropout
    learning_rate: float = FUNNEL.learning_rate
    momentum: float = FUNNEL.momentum
    epochs: int = FUNNEL.epochs
    batch_size: int = FUNNEL.batch_size
    balance: Balance = FUNNEL.balance
    patience: int | None = FUNNEL.patience
    seed: int = 0
