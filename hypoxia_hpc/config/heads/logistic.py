"""[train.logistic]: the baseline of the heads."""

from __future__ import annotations

from pydantic import Field

from hypoxia_hpc.config.base import Table


class LogisticTable(Table):
    """[train.logistic]: standardised features, L2-penalised logistic regression, balanced class weights."""

    c: float = Field(0.01, gt=0, description="inverse strength of the L2 penalty")
    max_iter: int = Field(1000, ge=1, le=1000000, description="most iterations of L-BFGS")
