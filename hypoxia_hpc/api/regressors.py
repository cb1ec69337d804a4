"""The models of ``hypoxia-hpc train`` in the manner of scikit-learn, for a score and for survival.

Bags, training and parameters are those of :mod:`hypoxia_hpc.api.estimators`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from hypoxia_hpc.analysis.concordance import concordance_statistic
from hypoxia_hpc.api.bag_models import BagModel
from hypoxia_hpc.api.bags import Bags, followed_in, scores_in
from hypoxia_hpc.config import AttentionTable, FunnelTable, LinearTable, OutcomeTable
from hypoxia_hpc.config.kinds import DEFAULTS
from hypoxia_hpc.outcomes.score import Score
from hypoxia_hpc.outcomes.survival import Survival
from hypoxia_hpc.records import Float64Array

if TYPE_CHECKING:
    from sklearn.utils import Tags

FUNNEL, LINEAR, ATTENTION = FunnelTable(), LinearTable(), AttentionTable()
SURVIVAL_BATCH: int = DEFAULTS["survival"]["train"]["attention"]["batch_size"]


class BagRegressor(BagModel):
    """What the models of a score share. Each is a dataclass whose fields are its parameters.

    Attributes:
        history_: Numbers per epoch by name ("loss", "valid_loss"), after ``fit``; empty of :class:`LinearRegressor`.
    """

    def fit(self, bags: Bags, y: ArrayLike, *, validation: tuple[Bags, ArrayLike] | None = None) -> Self:
        """Train on bags, with Huber's loss of the standardised score.

        Args:
            bags: n arrays, float (n_tiles, d), one a patient, as :class:`BagClassifier` takes them.
            y: (n,) scores, of any unit, two different ones or more.
            validation: Other bags and their scores, which end the training early where ``patience`` says so.

        Returns:
            The model itself.

        Raises:
            InputError, MachineError: as :class:`BagClassifier`.
        """
        valid = None if validation is None else (validation[0], scores_in(validation[1], "validation bags"))
        self._fit(Score(OutcomeTable(kind="score")), (bags, scores_in(y, "bags")), valid)
        return self

    def predict(self, bags: Bags) -> Float64Array:
        """The score of each bag, float64 (n,), in the unit of y. Raises InputError for bags of another form, and where
        the model is not trained."""
        return self._said(bags)[:, 0]

    def score(self, bags: Bags, y: ArrayLike) -> float:
        """R², 1 at best, 0 for the mean of y. Raises as predict."""
        from sklearn.metrics import r2_score

        return float(r2_score(scores_in(y, "bags"), self.predict(bags)))

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn asks of an estimator: this is a regressor that needs scores."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
        )


class BagSurvival(BagModel):
    """What the models of survival share. Each is a dataclass whose fields are its parameters.

    Attributes:
        history_: Numbers per epoch by name ("loss", "valid_loss"), after ``fit``; empty of :class:`LinearSurvival`.
    """

    def fit(self, bags: Bags, y: ArrayLike, *, validation: tuple[Bags, ArrayLike] | None = None) -> Self:
        """Train on bags, with Cox's partial likelihood.

        Args:
            bags: n arrays, float (n_tiles, d), one a patient, as :class:`BagClassifier` takes them.
            y: (n, 2) time of follow-up, 0 or more, and event, 1 or 0 for censored; one event or more.
            validation: Other bags and what is known of them, which end the training early where ``patience`` says so.

        Returns:
            The model itself.

        Raises:
            InputError, MachineError: as :class:`BagClassifier`.
        """
        valid = None if validation is None else (validation[0], followed_in(validation[1], "validation bags"))
        self._fit(Survival(OutcomeTable(kind="survival")), (bags, followed_in(y, "bags")), valid)
        return self

    def predict(self, bags: Bags) -> Float64Array:
        """The risk of each bag, float64 (n,): the logarithm of its hazard, up to a constant; larger for an earlier
        event. Raises InputError for bags of another form, and where the model is not trained."""
        return self._said(bags)[:, 0]

    def score(self, bags: Bags, y: ArrayLike) -> float:
        """Harrell's concordance, 0 to 1, 1/2 without a relation, NaN where no two bags can be compared. Raises as
        predict."""
        followed = np.array(followed_in(y, "bags"))
        units, events = np.arange(len(followed)), followed[:, 1].astype(np.int64)
        statistic = concordance_statistic(followed[:, 0], events, self.predict(bags), units)
        return float(statistic(np.ones((len(followed), 1)))[0, 0])

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn asks of an estimator: this one is neither a classifier nor a regressor."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=True, one_d_labels=False, two_d_labels=True, single_output=False),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
        )


@dataclass(eq=False)
class AttentionParameters(BagModel):
    """Of gated attention, without those that classes alone have."""

    head: ClassVar[str] = "attention"
    units: int = ATTENTION.units
    attention_units: int = ATTENTION.attention_units
    dropout: float = ATTENTION.dropout
    learning_rate: float = ATTENTION.learning_rate
    weight_decay: float = ATTENTION.weight_decay
    epochs: int = ATTENTION.epochs
    batch_size: int = ATTENTION.batch_size
    bag_tiles: int = ATTENTION.bag_tiles
    patience: int = ATTENTION.patience
    seed: int = 0


@dataclass(eq=False)
class LinearParameters(BagModel):
    """Of the linear head."""

    head: ClassVar[str] = "linear"
    penalty: float = LINEAR.penalty
    max_iter: int = LINEAR.max_iter


@dataclass(eq=False)
class AttentionRegressor(AttentionParameters, BagRegressor):
    """:class:`AttentionMIL` for a score.

    Args:
        units: Width of a tile's embedding, 1 to 65,536.
        attention_units: Width of the gated attention, 1 to 65,536.
        dropout: Share of units that are dropped in training, 0 to below 1.
        learning_rate: Of AdamW, above 0.
        weight_decay: Of AdamW, 0 or more.
        epochs: Most passes over the bags, 1 or more.
        batch_size: Bags in a step, 1 to 4,096.
        bag_tiles: Tiles of a bag in a step, 2 or more, drawn anew each time. All tiles are used to predict.
        patience: Epochs without a lower validation loss after which training ends; the best weights are kept.
        seed: Seed of the weights, the order and dropout. Equal seeds give equal bits on one machine.

    Example:
        >>> hx.AttentionRegressor(epochs=20).fit(bags, scores).predict(bags)
    """


@dataclass(eq=False)
class FunnelRegressor(BagRegressor):
    """:class:`FunnelMLP` for a score: its last layer is linear; a bag has the mean of its tiles.

    Args:
        units: Widths of the hidden layers, each 1 to 65,536.
        dropout: Share of units that are dropped in training, 0 to below 1.
        learning_rate: Of SGD, above 0.
        momentum: Of SGD (Nesterov), 0 to below 1.
        epochs: Most passes over the tiles, 1 or more.
        batch_size: Tiles in a step, 2 or more.
        patience: As in :class:`AttentionRegressor`. Default: None, train all epochs.
        seed: Seed of the weights, the order and dropout.

    Example:
        >>> hx.FunnelRegressor(units=(64, 16), epochs=5).fit(bags, scores).score(bags, scores)
    """

    head: ClassVar[str] = "funnel"
    units: tuple[int, ...] = FUNNEL.units
    dropout: float = FUNNEL.dropout
    learning_rate: float = FUNNEL.learning_rate
    momentum: float = FUNNEL.momentum
    epochs: int = FUNNEL.epochs
    batch_size: int = FUNNEL.batch_size
    patience: int | None = FUNNEL.patience
    seed: int = 0


@dataclass(eq=False)
class LinearRegressor(LinearParameters, BagRegressor):
    """Robust ridge regression (Huber's loss) of a score on the mean standardised features of a bag.

    Args:
        penalty: Strength of the L2 penalty, a patient, above 0.
        max_iter: Most iterations of L-BFGS, 1 or more.

    Example:
        >>> hx.LinearRegressor(penalty=0.1).fit(bags, scores).predict(bags)
    """


@dataclass(eq=False)
class AttentionSurvival(AttentionParameters, BagSurvival):
    """:class:`AttentionMIL` for survival: a bag is compared with those of its step that are followed as long.

    Args:
        units: Width of a tile's embedding, 1 to 65,536.
        attention_units: Width of the gated attention, 1 to 65,536.
        dropout: Share of units that are dropped in training, 0 to below 1.
        learning_rate: Of AdamW, above 0.
        weight_decay: Of AdamW, 0 or more.
        epochs: Most passes over the bags, 1 or more.
        batch_size: Bags in a step, 1 to 4,096; 16 or more is wise.
        bag_tiles: Tiles of a bag in a step, 2 or more, drawn anew each time. All tiles are used to predict.
        patience: Epochs without a lower validation loss after which training ends; the best weights are kept.
        seed: Seed of the weights, the order and dropout. Equal seeds give equal bits on one machine.

    Example:
        >>> followed = np.column_stack([months, died])
        >>> hx.AttentionSurvival(epochs=20).fit(bags, followed).predict(bags)
    """

    batch_size: int = SURVIVAL_BATCH


@dataclass(eq=False)
class LinearSurvival(LinearParameters, BagSurvival):
    """Cox's model (ties by Efron) with a ridge, on the mean standardised features of a bag.

    Args:
        penalty: Strength of the L2 penalty, a patient, above 0.
        max_iter: Most iterations of L-BFGS, 1 or more.

    Example:
        >>> hx.LinearSurvival(penalty=0.1).fit(bags, np.column_stack([months, died])).predict(bags)
    """
