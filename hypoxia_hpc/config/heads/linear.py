"""[train.linear]: the plainest head for a score or for survival."""

from __future__ import annotations

from pydantic import Field

from hypoxia_hpc.config.base import Table


class LinearTable(Table):
    """[train.linear]: a patient's mean features, standardised; robust ridge regression of a score, Cox of survival."""

    penalty: float = Field(1.0, gt=0, description="strength of the L2 penalty, a patient")
    max_iter: int = Field(1000, ge=1, le=1000000, description="most iterations of L-BFGS")
