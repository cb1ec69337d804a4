"""[evaluate]: predictions and metrics."""

from __future__ import annotations

from pydantic import Field

from hypoxia_hpc.config.base import Fraction, Table


class EvaluateTable(Table):
    """[evaluate]: predictions and metrics."""

    threshold: Fraction = Field(0.5, description="a probability above this is called hypoxic")
    bootstrap: int = Field(2000, ge=100, le=1000000, description="resamplings of patients for the intervals")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the resampling")
