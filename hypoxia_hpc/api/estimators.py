"""The models of ``hypoxia-hpc train`` in the manner of scikit-learn, for classes: bags of tiles in, probabilities of
patients out. Those for a score and for survival are in :mod:`hypoxia_hpc.api.regressors`.

A bag is all tiles of one patient, a row each. Training is that of the command line, from the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hypoxia_hpc.api.bag_models import BagModel
from hypoxia_hpc.api.bags import Bags, class_codes, sorted_classes
from hypoxia_hpc.config import HEADS, AttentionTable, Balance, FunnelTable, LogisticTable, OutcomeTable, TanhTable
from hypoxia_hpc.outcomes.classes import Classes
from hypoxia_hpc.outcomes.outcome import Outcome
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Float64Array

if TYPE_CHECKING:
    from sklearn.utils import Tags

TANH, FUNNEL, LOGISTIC, ATTENTION = TanhTable(), FunnelTable(), LogisticTable(), AttentionTable()


class BagClassifier(BagModel):
    """What the models of classes share. Each is a dataclass whose fields are its parameters.

    Attributes:
        classes_: (k,) the labels in sorted order, after ``fit``.
        history_: Numbers per epoch by name ("loss", "accuracy", "valid_loss", "valid_accuracy"), after ``fit``.
    """

    classes_: NDArray[Any]

    def fit(self, bags: Bags, y: ArrayLike, *, validation: tuple[Bags, ArrayLike] | None = None) -> Self:
        """Train on bags.

        Args:
            bags: n arrays, float (n_tiles, d), one a patient; d is the same in all, n_tiles 1 or more. float16 stays
                float16 where all are; anything else is taken as float32.
            y: (n,) labels of two or more values, of any type that sorts, such as names; of two, the larger one is the
                positive class. :class:`FunnelMLP` takes two.
            validation: Other bags and their labels. They end the training early where ``patience`` says so, and are
                used for nothing else. Without them all epochs are trained.

        Returns:
            The model itself.

        Raises:
            InputError: Bags or labels of another form, a parameter outside its range, or a training whose loss or
                probabilities are no numbers.
            MachineError: Keras has no backend, or the disk is full.
        """
        labels = np.asarray(y)
        classes = sorted_classes(labels, has_many=self._takes_many())
        valid = None
        if validation is not None:
            valid = (validation[0], class_codes(np.asarray(validation[1]), classes, "validation bags"))
        outcome: Outcome = BINARY
        if len(classes) > 2:
            outcome = Classes(OutcomeTable(kind="classes", classes=tuple(map(str, range(len(classes))))))
        self._fit(outcome, (bags, class_codes(labels, classes, "bags")), valid)
        self.classes_ = classes
        return self

    def predict_proba(self, bags: Bags) -> Float64Array:
        """Probabilities of all classes.

        Args:
            bags: n arrays, float (n_tiles, d), d as in training, n_tiles 1 or more.

        Returns:
            float64 (n, k) in the order of ``classes_``; rows sum to 1.

        Raises:
            InputError: Bags of another form, or the model is not trained.
        """
        said = self._said(bags)
        return np.concatenate([1 - said, said], axis=1) if said.shape[1] == 1 else said

    def predict(self, bags: Bags) -> NDArray[Any]:
        """The likeliest class of each bag, (n,); of two, the positive one where its probability is above 0.5. Raises as
        predict_proba."""
        likeliest = self.predict_proba(bags).argmax(axis=1)
        called: NDArray[Any] = self.classes_[likeliest]
        return called

    def score(self, bags: Bags, y: ArrayLike) -> float:
        """Accuracy, 0 to 1, the share of bags whose class is predicted. Raises as predict_proba."""
        return float((self.predict(bags) == np.asarray(y)).mean())

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn asks of an estimator: this is a classifier that needs labels."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_class=self._takes_many()),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
        )

    def _takes_many(self) -> bool:
        """Can its head predict more classes than two?"""
        return "classes" in HEADS[self.head].outcomes


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
